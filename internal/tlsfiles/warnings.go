package tlsfiles

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Warnings returns a line for each likely mistake in the files as last read: certificates that are not valid
// at this time, a CA file that nothing uses, a key that every user of the machine may read.
func (s *Source) Warnings(now time.Time) (all []string) {
	f, l := &s.files, s.current.Load()
	for _, c := range l.server {
		all = appendValidity(all, "certificate file "+f.Certificate, c, now)
	}
	if f.RequireClient || (f.AskClient || f.AskOperators) && f.CA != "" {
		for _, c := range l.ca {
			all = appendValidity(all, "CA file "+f.CA, c, now)
		}
	} else if f.CA != "" {
		all = append(all, fmt.Sprintf("CA file %s is not used: clients are asked for a certificate only with --ssl-verify-client", f.CA))
	}
	// A group may share the key on purpose.
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o006 != 0 {
		all = append(all, fmt.Sprintf("key file %s is open to everybody on this machine (mode %04o): chmod o= %s", f.Key,
			info.Mode().Perm(), f.Key))
	}
	return all
}

func appendValidity(all []string, where string, c *x509.Certificate, now time.Time) []string {
	const form = "2006-01-02 15:04:05 MST"
	switch {
	case now.After(c.NotAfter):
		return append(all, fmt.Sprintf("%s: the certificate of %q expired at %s", where, c.Subject, c.NotAfter.UTC().Format(form)))
	case now.Before(c.NotBefore):
		return append(all, fmt.Sprintf("%s: the certificate of %q is not valid before %s", where, c.Subject, c.NotBefore.UTC().Format(form)))
	}
	return all
}

// Unreadable returns a line for each file that this process may not read after it has given up root: Reload
// would fail.
func (s *Source) Unreadable() (all []string) {
	f := &s.files
	for _, file := range []struct{ kind, path string }{
		{"certificate file", f.Certificate}, {"key file", f.Key}, {"CA file", f.CA},
	} {
		if file.path == "" {
			continue
		}
		// By the effective user. Opening the file might block.
		if err := unix.Faccessat(unix.AT_FDCWD, file.path, unix.R_OK, unix.AT_EACCESS); err != nil {
			all = append(all, fmt.Sprintf("%s %s can't be read again on SIGHUP: %v; a new one needs a restart", file.kind, file.path, err))
		}
	}
	return all
}

// Expiry returns, by file name, when the first certificate in it that this server uses expires.
func (s *Source) Expiry() map[string]time.Time {
	l, all := s.current.Load(), map[string]time.Time{}
	note := func(file string, certificates []*x509.Certificate) {
		for _, c := range certificates {
			if at, ok := all[file]; !ok || c.NotAfter.Before(at) {
				all[file] = c.NotAfter
			}
		}
	}
	note(s.files.Certificate, l.server)
	note(s.files.CA, l.ca)
	return all
}
