package main

import (
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// fileAsRead is a configuration file as it was when the server started.
type fileAsRead struct {
	path   string            // absolute; "" if there is none
	values map[string]string // of the options that the file set
	fixed  map[string]bool   // options that the command line or a variable set
}

// noteFile remembers what the configuration file has set.
func (o *options) noteFile(flags *pflag.FlagSet) error {
	path, err := filepath.Abs(o.configFile) // a process in the background goes to another directory
	if err != nil {
		return err
	}
	o.asRead = fileAsRead{path: path, values: setIn(flags, o.configFile), fixed: map[string]bool{}}
	flags.Visit(func(f *pflag.Flag) {
		_, inFile := o.asRead.values[f.Name]
		o.asRead.fixed[f.Name] = !inFile
	})
	return nil
}

// setIn returns the values of the flags that a file has set.
func setIn(flags *pflag.FlagSet, path string) map[string]string {
	values := map[string]string{}
	flags.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(sourceOf(f), path+":") {
			values[f.Name] = strings.Join(valuesOf(f), " ")
		}
	})
	return values
}

// warnOfFile logs what in the configuration file a restart would find: a mistake, or other values.
func (p *process) warnOfFile() {
	path := p.asRead.path
	if path == "" {
		return
	}
	now, err := readAlone(path, io.Discard)
	if err != nil {
		p.log.Error("the configuration file has a mistake: the server goes on as it is, but would not start with it", "error", err)
		return
	}
	if changed := p.asRead.changed(setIn(now.parsed, path)); len(changed) > 0 {
		p.log.Warn("options in the configuration file have changed: they take effect after a restart", "options",
			strings.Join(changed, ", "))
	}
}

// changed returns the options whose values in the file are others now, without those that the file does not decide.
func (f *fileAsRead) changed(now map[string]string) (names []string) {
	for name, value := range now {
		if before, ok := f.values[name]; (!ok || before != value) && !f.fixed[name] {
			names = append(names, name)
		}
	}
	for name := range f.values {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
