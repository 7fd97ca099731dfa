package tlsfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/certs"
)

// Likely mistakes are reported, each in a line that names the file.
func TestWarnings(t *testing.T) {
	a := certs.New(t)
	p := a.Sign("server")
	now := time.Now()
	for name, c := range map[string]struct {
		ca      string
		require bool
		mode    os.FileMode
		now     time.Time
		want    []string // a part of each line
	}{
		"nothing":                      {"", false, 0o600, now, nil},
		"clients are verified":         {a.File, true, 0o640, now, nil},
		"expired":                      {"", false, 0o600, now.Add(48 * time.Hour), []string{p.Certificate + `: the certificate of "CN=server" expired at `}},
		"not valid yet":                {"", false, 0o600, now.Add(-48 * time.Hour), []string{p.Certificate + `: the certificate of "CN=server" is not valid before `}},
		"authority expired, too":       {a.File, true, 0o600, now.Add(48 * time.Hour), []string{p.Certificate, a.File + `: the certificate of "CN=authority" expired at `}},
		"authority without a use":      {a.File, false, 0o600, now, []string{"CA file " + a.File + " is not used"}},
		"authority unused and expired": {a.File, false, 0o600, now.Add(48 * time.Hour), []string{p.Certificate, "is not used"}},
		"everybody may read the key":   {"", false, 0o644, now, []string{"key file " + p.Key + " is open to everybody on this machine (mode 0644)"}},
		"everybody may write the key":  {"", false, 0o602, now, []string{"(mode 0602): chmod o= " + p.Key}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(p.Key, c.mode); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Files{Certificate: p.Certificate, Key: p.Key, CA: c.ca, RequireClient: c.require})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Warnings(c.now)
			if !slices.EqualFunc(got, c.want, strings.Contains) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if missing := s.Unreadable(); missing != nil {
				t.Errorf("not readable: %q", missing)
			}
		})
	}
}

// A file that is missing, or that this process may not read any more, is named before SIGHUP needs it.
func TestUnreadable(t *testing.T) {
	a := certs.New(t)
	p := a.Sign("server")
	s, err := Open(Files{Certificate: p.Certificate, Key: p.Key, CA: a.File, RequireClient: true})
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(p.Key)
	if got := s.Unreadable(); len(got) != 1 || !strings.HasPrefix(got[0], "key file "+p.Key+" can't be read again") {
		t.Errorf("%q", got)
	}
}

// A file that blocks does not delay the caller, neither at the start nor later. When it can be read again
// everything continues.
func TestFileThatBlocks(t *testing.T) {
	a := certs.New(t)
	p := a.Sign("server")
	for name, blocking := range map[string]func(f *Files) *string{
		"certificate file": func(f *Files) *string { return &f.Certificate },
		"key file":         func(f *Files) *string { return &f.Key },
		"CA file":          func(f *Files) *string { return &f.CA },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Files{Certificate: p.Certificate, Key: p.Key, CA: a.File, RequireClient: true}
			path := filepath.Join(t.TempDir(), "file")
			copyFile(t, *blocking(&f), path)
			*blocking(&f) = path
			s, err := Open(f)
			if err != nil {
				t.Fatal(err)
			}
			before := s.current.Load()
			s.limit = await.Scaled(time.Second) // also for the files that do not block
			os.Remove(path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Reload(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(name, " ", path, " can't be read within ", s.limit)) {
				t.Errorf("%v", err)
			}
			if err := s.Reload(); err == nil || !strings.Contains(err.Error(), path+" is still being read") {
				t.Errorf("the second time: %v", err)
			}
			if s.current.Load() != before {
				t.Error("something has changed")
			}
			pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			pipe.Close()
			os.Remove(path)
			original := map[string]string{"certificate file": p.Certificate, "key file": p.Key, "CA file": a.File}[name]
			copyFile(t, original, path)
			s.limit = await.Limit
			await.Until(t, "the files can be read again", func() bool { return s.Reload() == nil })
		})
	}
}

// Keys with a passphrase, as OpenSSL writes them.
var encrypted = map[string]string{
	"PKCS 8": `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjtZycLVqsbKgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEILFoQ+7du0gG1rGgtTNybAEgZBQ
ZRpKRlDn9R/9LgvSi9hncsyIXLx5diVbzdeYo0lyj88Zx5IS+Ng1i+vnt8kzKbPU
RjGEDMOq3ES9ckwgLr3JIkzzbOlNHdr/Tc99mm7UNNoLBpOltnmi92vb9KznRkxE
emxgtJZpjl8WwwuQnpGSdqSV0Um9Shm5qBxbVkVEL0sF/4I6Ls38vDnEQ0Qk1wA=
-----END ENCRYPTED PRIVATE KEY-----
`,
	"before": `-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,2A8109894AFF01547DB79547D52A871B

xazGLSjJtSyE9XzLGkVapoPWt54YeeMBgfMZ9htoo+9crwrtcLtuDZ0c8Hrh7HsS
CHPHJxTvGr4Ly2HOvG/0rYRdrbBSdFHgmDE8j2DTsk/Cbt65bWRVZMkM4nbEN3ao
7zI8x2hgTOY7m3JMR1CdpCPmco6OJzTDTSYAgzhJJ/Q=
-----END EC PRIVATE KEY-----
`,
	"behind parameters": `-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,2A8109894AFF01547DB79547D52A871B

xazGLSjJtSyE9XzLGkVapoPWt54YeeMBgfMZ9htoo+9crwrtcLtuDZ0c8Hrh7HsS
CHPHJxTvGr4Ly2HOvG/0rYRdrbBSdFHgmDE8j2DTsk/Cbt65bWRVZMkM4nbEN3ao
7zI8x2hgTOY7m3JMR1CdpCPmco6OJzTDTSYAgzhJJ/Q=
-----END EC PRIVATE KEY-----
`,
}

// The error about a key with a passphrase says so, with the way out.
func TestEncryptedKey(t *testing.T) {
	p := certs.New(t).Sign("server")
	for name, text := range encrypted {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Files{Certificate: p.Certificate, Key: path})
			if err == nil || !strings.Contains(err.Error(), "key file "+path+" is encrypted") || !strings.Contains(err.Error(), "openssl pkey -in "+path) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A file without an end is not read into memory.
func TestEndlessFile(t *testing.T) {
	p := certs.New(t).Sign("server")
	if _, err := Open(Files{Certificate: p.Certificate, Key: "/dev/zero"}); err == nil || !strings.Contains(err.Error(), "key file /dev/zero is larger than 4 MiB") {
		t.Errorf("%v", err)
	}
}
