package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gearloop/reactor"
	"gearloop/web/guard"
)

// checkFiles looks at every file and user that the options name, without making or changing anything: what a
// server would read has to be readable, and what it would make has to have a directory. The error is of type
// mistakes. Directories that a service manager makes before it starts a server need not be there; notes says
// so.
func (o *options) checkFiles(notes io.Writer) error {
	var wrong mistakes
	note := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	_, err := o.tls.open(slices.Concat(o.tls.secure(o.listenOn()), o.web.listen))
	note(err)
	if o.web.tokens != "" {
		if _, err := guard.LoadTokens(o.web.tokens); err != nil {
			note(fmt.Errorf("--web-tokens: %w", err))
		}
	}
	_, err = o.access.open()
	note(err)
	_, err = lookUpAccount(o.user)
	note(err)
	for _, address := range o.listen {
		if path, local := strings.CutPrefix(address, "unix:"); local {
			note(checkSocket("--listen", path, notes))
		}
	}
	if _, passed := passedName(o.web.socket); o.web.socket != "" && !passed {
		note(checkSocket("--admin-socket", o.web.socket, notes))
	}
	if !o.logMayFail {
		note(checkPlace("--log-file", o.logFile, false, notes))
	}
	if !o.pidfileMayFail {
		note(checkPlace("--pidfile", o.pidfile, false, notes))
	}
	note(checkPlace("--data-dir", o.dataDir, true, notes))
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// checkSocket reports why a unix socket can't be made.
func checkSocket(option, path string, notes io.Writer) error {
	if err := reactor.CheckAddress("unix:" + path); err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s %s: there is something that is not a socket: remove it or choose another path", option, path)
	}
	return checkParent(option, path, notes)
}

// checkPlace reports why a file, or a directory with all that it stands in, can't be made; "" is none.
func checkPlace(option, path string, directory bool, notes io.Writer) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && directory && !info.IsDir():
		return fmt.Errorf("%s %s: it is not a directory", option, path)
	case err == nil && !directory && info.IsDir():
		return fmt.Errorf("%s %s: it is a directory", option, path)
	case err == nil:
		return nil
	case directory && errors.Is(err, fs.ErrNotExist): // the server makes those that are missing
		for path = filepath.Dir(path); ; path = filepath.Dir(path) {
			info, err := os.Stat(path)
			if err == nil && !info.IsDir() {
				return fmt.Errorf("%s: %s is not a directory", option, path)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %s: %w", option, path, fileFault(err))
	}
	return checkParent(option, path, notes)
}

// checkParent reports why a file can't be made in its directory.
func checkParent(option, path string, notes io.Writer) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	whole, absErr := filepath.Abs(dir)
	if absErr != nil {
		return absErr
	}
	madeLater := slices.ContainsFunc(madeByManagers, func(at string) bool { return strings.HasPrefix(whole, at) })
	if errors.Is(err, fs.ErrNotExist) && madeLater {
		fmt.Fprintf(notes, "%s: %s %s: the directory does not exist now; the service manager has to make it (RuntimeDirectory=, "+
			"LogsDirectory=)\n", programName, option, path)
		return nil
	}
	return fmt.Errorf("%s %s: %w", option, path, cmp.Or(fileFaultOf(err), errors.New("its directory is a file")))
}

// fileFaultOf is fileFault, and nil for nil.
func fileFaultOf(err error) error {
	if err == nil {
		return nil
	}
	return fileFault(err)
}

// madeByManagers are the directories in which service managers make those of a service.
var madeByManagers = []string{"/run/", "/var/run/", "/var/log/"}
