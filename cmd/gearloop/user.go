package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gearloop/reactor"
)

// account is the user of --user.
type account struct {
	name     string // as written
	uid, gid int
	groups   []int
}

// lookUpAccount returns the account of --user: a name, UID or UID:GID; nil for "". The program is built
// without the C library, so names come from /etc/passwd; users from elsewhere (LDAP) must be given by number.
func lookUpAccount(text string) (*account, error) {
	if text == "" {
		return nil, nil
	}
	if uid, gid, ok := strings.Cut(text, ":"); ok {
		u, errUser := strconv.ParseUint(uid, 10, 31)
		g, errGroup := strconv.ParseUint(gid, 10, 31)
		if errUser != nil || errGroup != nil {
			return nil, fmt.Errorf("--user: %q is not UID:GID, two numbers", text)
		}
		return &account{text, int(u), int(g), []int{int(g)}}, nil
	}
	u, err := user.Lookup(text)
	if _, number := strconv.ParseUint(text, 10, 31); err != nil && number == nil {
		u, err = user.LookupId(text)
	}
	if errors.As(err, new(user.UnknownUserError)) || errors.As(err, new(user.UnknownUserIdError)) {
		return nil, fmt.Errorf("--user: %q is unknown: it must be a user in /etc/passwd, or UID:GID", text)
	}
	if err != nil {
		return nil, fmt.Errorf("--user: looking up %q: %w", text, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("--user %s: %w", text, err)
	}
	var numbers []int
	for _, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("--user %s: %w", text, err)
		}
		numbers = append(numbers, n)
	}
	return &account{text, numbers[0], numbers[1], numbers[2:]}, nil
}

// owner returns the owner of unix sockets, nil for the default.
func (a *account) owner() *reactor.Owner {
	if a == nil || syscall.Geteuid() != 0 {
		return nil
	}
	return &reactor.Owner{UID: a.uid, GID: a.gid}
}

// mayNot adds to a permission error that the user's rights count, not root's.
func (a *account) mayNot(err error) error {
	if a == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: it is opened as user %s (see --user)", err, a.name)
}

// mayBecome returns an error unless this process can become that user: as root, or because it already is.
func (a *account) mayBecome() error {
	if a == nil || syscall.Geteuid() == 0 || syscall.Getuid() == a.uid {
		return nil
	}
	return fmt.Errorf("--user: only root can become %s: start as root, or leave the option out", a.name)
}

// warnOfSockets warns of unix sockets that the user of --user cannot remove when the server ends: root made them, in a
// directory where that user may not write.
func (p *process) warnOfSockets() {
	if p.account == nil {
		return
	}
	var sockets []string
	for _, address := range p.listenOn() {
		if path, local := strings.CutPrefix(address, "unix:"); local {
			sockets = append(sockets, path)
		}
	}
	if _, passed := passedName(p.web.socket); p.web.socket != "" && !passed {
		sockets = append(sockets, p.web.socket)
	}
	for _, path := range sockets {
		if err := unix.Faccessat(unix.AT_FDCWD, filepath.Dir(path), unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			p.log.Warn("this unix socket stays when the server ends, as its directory is not writable for --user; "+
				"the next server that root starts replaces it", "socket", path, "user", p.account.name)
		}
	}
}

// become switches irrevocably from root to the user and its groups. A server that already runs as that user
// does not change.
func (a *account) become() error {
	if a == nil || syscall.Geteuid() != 0 {
		return nil
	}
	// In this order: without root the groups cannot be changed.
	for _, step := range []struct {
		what string
		err  func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(a.groups) }},
		{"setgid", func() error { return syscall.Setgid(a.gid) }},
		{"setuid", func() error { return syscall.Setuid(a.uid) }},
	} {
		if err := step.err(); err != nil {
			return fmt.Errorf("--user: could not become %s: %s: %w", a.name, step.what, err)
		}
	}
	return nil
}
