package codec

import (
	"strings"
	"testing"
)

// requests are first lines as browsers, tools and proxies send them, and what a web page may make of them.
var requests = []string{
	"GET / HTTP/1.1", "POST /a?b=c HTTP/1.0", "get / http/1.1", "PRI * HTTP/2.0", "OPTIONS * HTTP/1.1",
	"CONNECT example.org:443 HTTP/1.1", "GET http://example.org/ HTTP/1.1", "CONNECT [::1]:4730 HTTP/1.1",
	"shutdown / HTTP/1.1", "SHUTDOWN / HTTP/1.1", "maxqueue /f HTTP/1.1", "workers * HTTP/1.1", "drop http://x/ HTTP/1.1",
	"x-%!#$&'*+.^`|~ / HTTP/9", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "\tGET\t/\tHTTP/1.1\t", "GET  /  HTTP/1.1",
	"GET /a b c HTTP/1.1", "GET /" + strings.Repeat("x", 8000) + " HTTP/1.1",
	"GET /", "GET /index.html", "HEAD /", "GET http://x/", "GET x HTTP/1.1", "POST x http/2", "OPTIONS rtsp://x/ RTSP/1.0",
}

// commandsLikeRequests are lines that have something of a request, but are commands, or nothing at all.
var commandsLikeRequests = []string{
	"", " ", "/", "*", "/ HTTP/1.1", "HTTP/1.1", "GET", "GET ", "get /", "Get /", "GET x", "GETS /", "GETS x HTTP/1.1",
	"status", "status /", "status / HTTP", "status / HTTP/", "shutdown graceful", "shutdown HTTP/1.1", "maxqueue /f 10",
	"maxqueue http://f 1 2 3", "create function /f", "create function HTTP/1.1", "create function http://f HTTP/1.1",
	"drop function HTTP/1.1", "cancel job H:host:1", "show unique jobs", "show jobs HTTP/1.1", "(GET) / HTTP/1.1",
	"G\x00T / HTTP/1.1", "\xffGET / HTTP/1.1",
}

func TestRequestsAreNoLines(t *testing.T) {
	for _, line := range requests {
		for _, end := range []string{"\n", "\r\n"} {
			if it, err := Next([]byte(line+end+"status\n"), 0); err != ErrHTTP {
				t.Errorf("%.50q: %s, error %v", line, show(it), err)
			}
		}
	}
	for _, line := range commandsLikeRequests {
		for _, end := range []string{"\n", "\r\n"} {
			expect(t, []byte(line+end), 0, Item{Kind: Line, Data: []byte(line), Len: len(line + end)})
		}
	}
	// One that is too long is a request by its beginning, with its end in sight or without.
	for _, end := range []string{"", "\n", " HTTP/1.1\r\n"} {
		if _, err := Next([]byte("GET /"+strings.Repeat("x", MaxLine)+end), 0); err != ErrHTTP {
			t.Errorf("a long request that ends in %q: error %v", end, err)
		}
	}
}

// A control character begins neither a frame nor a line, whatever follows: TLS, SOCKS, or STUN in its frame.
func TestControlCharactersBeginNothing(t *testing.T) {
	for c := range byte(' ') {
		blank := strings.IndexByte("\t\n\v\f\r", c) >= 0
		for _, rest := range []string{"", "\n", "status\n", "\x00REQ"} {
			_, err := Next([]byte(string(c)+rest), 0)
			if c != 0 && (err == ErrMagic) == blank {
				t.Errorf("%q: error %v", string(c)+rest, err)
			}
		}
	}
}
