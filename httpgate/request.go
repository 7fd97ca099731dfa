package httpgate

import (
	"encoding/binary"
	"net/http"
	"strings"

	"gearloop/codec"
)

// Headers of requests and answers.
const (
	headerUnique     = "X-Gearman-Unique"
	headerPriority   = "X-Gearman-Priority"
	headerBackground = "X-Gearman-Background"
	headerFinal      = "X-Gearman-Final"
	headerHandle     = "X-Gearman-Job-Handle"
	headerCommand    = "X-Gearman-Command"
)

// submission is what a request asks for, without its argument.
type submission struct {
	kind       codec.Type
	function   string
	unique     string
	background bool // JOB_CREATED is the answer
	final      bool // WORK_STATUS and WORK_WARNING are skipped
}

// submissionOf parses target and headers.
func submissionOf(r *http.Request) submission {
	s := submission{
		kind:       codec.SubmitJob,
		function:   functionOf(r),
		unique:     "-",
		background: has(r.Header[headerBackground], "true"),
		final:      has(r.Header[headerFinal], "true"),
	}
	if s.background {
		s.kind = codec.SubmitJobBg
	}
	for _, p := range r.Header[headerPriority] {
		switch {
		case strings.EqualFold(p, "high") && s.background:
			s.kind = codec.SubmitJobHighBg
		case strings.EqualFold(p, "high"):
			s.kind = codec.SubmitJobHigh
		case strings.EqualFold(p, "low") && s.background:
			s.kind = codec.SubmitJobLowBg
		case strings.EqualFold(p, "low"):
			s.kind = codec.SubmitJobLow
		}
	}
	// The last header counts; an empty one counts as absent.
	for _, u := range r.Header[headerUnique] {
		if u != "" {
			s.unique = u
		}
	}
	return s
}

// has reports whether one of the values equals want, ignoring case.
func has(values []string, want string) bool {
	for _, v := range values {
		if strings.EqualFold(v, want) {
			return true
		}
	}
	return false
}

// functionOf returns the function's name: the target as sent, without leading slashes and without the scheme
// and host that a proxy may have added.
func functionOf(r *http.Request) string {
	target := r.RequestURI
	if _, rest, ok := strings.Cut(target, "://"); ok && r.URL.Host != "" && target[0] != '/' {
		target = ""
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		}
	}
	return strings.TrimLeft(target, "/")
}

// valid reports whether name may be an argument of a packet and a word of a status line.
func valid(name string) bool { return !strings.ContainsAny(name, "\x00\r\n") }

// size is the size of the packet's data without the argument, in bytes.
func (s *submission) size() int64 { return int64(len(s.function) + 1 + len(s.unique) + 1) }

// appendHead appends the packet up to its argument, which has length bytes.
func (s *submission) appendHead(dst []byte, length int64) []byte {
	at := len(dst)
	dst = codec.AppendRequest(dst, s.kind, s.function, s.unique, "")
	binary.BigEndian.PutUint32(dst[at+codec.HeaderSize-4:], uint32(s.size()+length))
	return dst
}

// keepsConnection reports whether the client asked for keep-alive. Other connections are closed, because old
// clients read an answer until the connection ends.
func keepsConnection(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		for word := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(word), "keep-alive") {
				return true
			}
		}
	}
	return false
}
