package main

import (
	"fmt"
	"os/user"
	"strconv"
	"syscall"
)

// becomeUser gives up the rights of root for those of a user, with its groups, for good. A server
// that runs as that user already stays as it is.
func becomeUser(name string) error {
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if syscall.Geteuid() != 0 {
		if syscall.Getuid() == uid {
			return nil
		}
		return fmt.Errorf("--user: must be root to become %s", name)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	var groups []int
	for _, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return fmt.Errorf("--user: %w", err)
		}
		groups = append(groups, n)
	}
	// In this order: without root's rights there is no other group to be had.
	for _, step := range []struct {
		what string
		err  func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(groups) }},
		{"setgid", func() error { return syscall.Setgid(gid) }},
		{"setuid", func() error { return syscall.Setuid(uid) }},
	} {
		if err := step.err(); err != nil {
			return fmt.Errorf("--user: could not become %s: %s: %w", name, step.what, err)
		}
	}
	return nil
}
