package reactor

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/test/wire"
)

// poison is what a web page may put into the body of a request: text commands and packets, which would be
// found wherever the server began to read.
var poison = "\nshutdown\nmaxqueue f 0\ncreate function made\n" +
	string(codec.AppendRequest(nil, codec.SubmitJobBg, "f", "", "submitted")) +
	string(codec.AppendRequest(nil, codec.CanDo, "f")) + string(codec.AppendRequest(nil, codec.GrabJob)) + "\nshutdown\n"

// A connection that begins like a web page's gets one answer that a browser understands. None of its bytes
// are obeyed, in whatever pieces they arrive. Nor are those behind a request in the middle of a connection.
func TestWebPagesAreNotObeyed(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) {
			r := newRig(t, loops(1), func(s *setup) { s.Dialect, s.Config.Dialect, s.Sched.Dialect = d, d, d })
			client := r.dial()
			client.Submit(codec.SubmitJobBg, "f", "", "stays")
			n := int64(0)
			for _, begin := range []string{
				"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nPOST / HTTP/1.1\r\n", "GET /\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
				"shutdown / HTTP/1.1\r\n", "version\nPOST / HTTP/1.1\r\n", string(codec.AppendRequest(nil, codec.EchoReq, "x")) + "GET / HTTP/1.0\n",
				"GET /" + strings.Repeat("x", 2*codec.MaxLine) + " HTTP/1.1\r\n",
			} {
				for _, piece := range []int{1, 7, 1 << 20} {
					c := r.dial()
					n++
					for rest := begin + poison; rest != "" && r.server.Counters().HTTP.Load() < n; {
						now := rest[:min(piece, len(rest))]
						if _, err := io.WriteString(c, now); err != nil {
							break // it has been answered already
						}
						rest = rest[len(now):]
					}
					answer := string(c.ReadAll())
					_, answer, found := strings.Cut(answer, "HTTP/1.1 400 ")
					response, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 400 "+answer)), nil)
					if !found || err != nil {
						t.Fatalf("%.30q: answer %q, %v", begin, answer, err)
					}
					body, err := io.ReadAll(response.Body)
					if err != nil || int64(len(body)) != response.ContentLength || !response.Close || strings.Contains(answer, "HTTP/1.1 400") {
						t.Errorf("%.30q: answer %q, %v", begin, answer, err)
					}
					c.Close()
				}
			}
			if got := r.server.Counters().HTTP.Load(); got != n {
				t.Errorf("%d requests counted, want %d", got, n)
			}
			if status := client.Table("status"); len(status) != 1 || status[0] != "f\t1\t0\t0" {
				t.Errorf("status is %q", status)
			}
			w := r.worker("f")
			if _, argument := w.Grab(); argument != "stays" {
				t.Errorf("the job has argument %q", argument)
			}
		})
	}
}

// The same applies over TLS, to a browser whose user trusts the certificate.
func TestWebPagesOverTLS(t *testing.T) {
	r := newTLSRig(t, false)
	c := tls.Client(r.tcp(), r.client)
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\n\r\n"+poison); err != nil {
		t.Fatal(err)
	}
	if answer := wire.New(t, c).ReadAll(); !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("answer %q", answer)
	}
	if status := r.plain().Table("status"); len(status) != 0 {
		t.Errorf("status is %q", status)
	}
}
