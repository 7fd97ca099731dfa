package codec

import (
	"bytes"
	"slices"
)

// httpMethods are the methods that browsers, proxies and monitoring send. No text command has such a name.
var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI"}

// isHTTP reports whether a line begins an HTTP request. A browser sends any body that a web page chooses
// behind that line. The page may choose the method too, if its host name was made to resolve to this machine.
// So any word counts as a method if a target and a version follow it. A known method needs only one of them
// (HTTP/0.9).
func isHTTP(line []byte) bool {
	method, rest := nextWord(line)
	target, _ := nextWord(rest)
	if !isMethod(method) || len(target) == 0 {
		return false
	}
	clues := 0
	if isTarget(target) {
		clues++
	}
	if hasVersion(rest) {
		clues++
	}
	return clues == 2 || clues == 1 && slices.Contains(httpMethods, string(method))
}

// hasVersion reports whether the last word of a line is a version of HTTP.
func hasVersion(line []byte) bool {
	line = bytes.TrimRight(line, lineBlanks)
	version := line[bytes.LastIndexAny(line, lineBlanks)+1:]
	return len(version) > len("HTTP/") && bytes.EqualFold(version[:len("HTTP/")], []byte("HTTP/"))
}

// lineBlanks separate the words of a line.
const lineBlanks = " \t\r\v\f"

// nextWord splits a line behind its first word, which blanks may stand before.
func nextWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, lineBlanks)
	if i := bytes.IndexAny(line, lineBlanks); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// isMethod reports whether a word may be a method: RFC 9110 has letters, digits and some punctuation.
func isMethod(word []byte) bool {
	for _, c := range word {
		if !isWord(c) && bytes.IndexByte([]byte("!#$%&'*+-.^`|~"), c) < 0 {
			return false
		}
	}
	return len(word) > 0
}

// isTarget reports whether a word may be the target of a request: a path, a URL, host:port, or "*".
func isTarget(word []byte) bool {
	return len(word) > 0 && (word[0] == '/' || word[0] == '*' || bytes.IndexByte(word, ':') > 0)
}
