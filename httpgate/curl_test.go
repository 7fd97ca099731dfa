package httpgate

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// curl runs the program and returns its output: the answer with its headers.
func curl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("no curl in PATH; install Debian's package curl")
	}
	cmd := exec.Command(path, append([]string{"-s", "-S", "-i", "--max-time", fmt.Sprint(await.Limit.Seconds()), "--noproxy", "*"}, args...)...)
	cmd.WaitDelay = await.Limit
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// The test runs the README's examples, and what curl does by itself: it asks for 100 Continue, sends a file,
// and sends chunks.
func TestCurl(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("large"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	onBoth(t, func(t *testing.T, s site) {
		w := wire.Dial(t, s.broker.Addr)
		for _, test := range []struct {
			name     string
			args     []string
			argument int // its length
			want     []string
		}{
			{"data", []string{"-d", "hello"}, 5, []string{" 200 OK", "Command: WORK_COMPLETE", "\r\n\r\nresult"}},
			{"GET", nil, 0, []string{" 200 OK", "\r\n\r\nresult"}},
			{"1.0", []string{"-0", "-d", "hello"}, 5, []string{"HTTP/1.0 200 OK", "\r\n\r\nresult"}},
			{"upload", []string{"-T", large}, 5 << 20, []string{" 200 OK", "\r\n\r\nresult"}},
			{"large", []string{"--data-binary", "@" + large, "-H", "Expect: 100-continue", "--expect100-timeout", "0.1"}, 5 << 20,
				[]string{" 200 OK", "\r\n\r\nresult"}},
			{"background", []string{"-d", "hello", "-H", "X-Gearman-Background: true", "-H", "X-Gearman-Priority: low"}, 5,
				[]string{" 200 OK", "Command: JOB_CREATED", "Content-Length: 0"}},
			{"HTTP/2 is not spoken", []string{"--http2", "-d", "hello"}, 5, []string{" 200 OK", "\r\n\r\nresult"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				type result struct {
					out string
					err error
				}
				got := make(chan result, 1)
				target := "http://" + s.http + "/f"
				go func() {
					out, err := curl(t, append(test.args, target)...)
					got <- result{out, err}
				}()
				j := grab(w, "f")
				w.Send(codec.WorkComplete, j.handle, "result")
				r := <-got
				if r.err != nil || len(j.argument) != test.argument {
					t.Errorf("%v, %d bytes of argument", r.err, len(j.argument))
				}
				for _, want := range append(test.want, "X-Gearman-Job-Handle: "+j.handle+"\r\n") {
					if !strings.Contains(r.out, want) {
						t.Errorf("no %q in\n%s", want, r.out)
					}
				}
			})
		}
		if out, err := curl(t, "-d", "hello", "http://"+s.http+"/"); err != nil || !strings.Contains(out, " 404 ") {
			t.Errorf("%v:\n%s", err, out)
		}
	})
}

// curl reports a result that is not whole.
func TestCurlSeesHalfAResult(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	go func() {
		l := next(t, links)
		l.head()
		l.send(codec.JobCreated, "H:x:1")
		l.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", "result")[:22])
		l.Close()
	}()
	if out, err := curl(t, "-d", "hello", "http://"+addr+"/f"); err == nil {
		t.Errorf("no error:\n%s", out)
	}
}

// curl with the headers of a browser is refused as a browser would be. It is served by any address and by the
// names of this machine.
func TestCurlAsBrowser(t *testing.T) {
	s := ours(t)
	_, port, _ := net.SplitHostPort(s.http)
	for _, test := range []struct {
		args   []string
		status string
	}{
		{[]string{"http://localhost:" + port + "/f"}, " 200 "},
		{[]string{"http://127.0.0.1:" + port + "/f"}, " 200 "},
		{[]string{"-A", "Mozilla/5.0", "http://localhost:" + port + "/f"}, " 200 "},
		{[]string{"-H", "Origin: http://localhost:" + port, "http://localhost:" + port + "/f"}, " 200 "},
		{[]string{"-H", "Sec-Fetch-Site: none", "http://localhost:" + port + "/f"}, " 200 "},
		{[]string{"-H", "Origin: https://evil.example", "http://localhost:" + port + "/f"}, " 403 "},
		{[]string{"-d", "x", "-H", "Origin: null", "http://localhost:" + port + "/f"}, " 403 "},
		{[]string{"-e", "https://evil.example/page", "http://localhost:" + port + "/f"}, " 403 "},
		{[]string{"-d", "x", "-H", "Sec-Fetch-Site: cross-site", "http://localhost:" + port + "/f"}, " 403 "},
		{[]string{"-A", "Mozilla/5.0", "-H", "Accept-Language: en", "http://localhost:" + port + "/f"}, " 403 "},
		{[]string{"--resolve", "evil.example:" + port + ":127.0.0.1", "http://evil.example:" + port + "/f"}, " 403 "},
		{[]string{"-H", "Host: evil.example", "http://localhost:" + port + "/f"}, " 403 "},
	} {
		out, err := curl(t, append(test.args, "-H", "X-Gearman-Background: true")...)
		if err != nil || !strings.Contains(out, test.status) {
			t.Errorf("%q: %v, want%s\n%s", test.args, err, test.status, out)
		}
	}
	if n := s.jobs("f"); n != "5" {
		t.Errorf("%s jobs, want 5", n)
	}
}
