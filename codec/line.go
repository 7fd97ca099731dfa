package codec

import (
	"bytes"
	"strings"
)

// nextLine returns the line at the beginning of buf, or Incomplete if it has no end yet.
func nextLine(buf []byte) (Item, error) {
	if c := buf[0]; c < ' ' && (c < '\t' || c > '\r') {
		return Item{}, ErrMagic
	}
	i := bytes.IndexByte(buf[:min(len(buf), MaxLine+2)], '\n')
	if i < 0 {
		if len(buf) > MaxLine+1 {
			return Item{}, tooLong(buf)
		}
		return Item{}, nil
	}
	text := buf[:i:i]
	if i > 0 && text[i-1] == '\r' {
		text = text[: i-1 : i-1]
	}
	if len(text) > MaxLine {
		return Item{}, tooLong(text)
	}
	if isHTTP(text) {
		return Item{}, ErrHTTP
	}
	return Item{Kind: Line, Data: text, Len: i + 1}, nil
}

// tooLong returns the error for a line of more than MaxLine bytes, or for the beginning of one.
func tooLong(buf []byte) error {
	if isHTTP(buf[:MaxLine]) {
		return ErrHTTP
	}
	return ErrLineTooLong
}

// Command splits a text line into its command and its arguments. The command is the word of letters, digits
// and underscores at the beginning, in lower case; it is empty if the line does not begin with a word. The
// arguments are the rest without leading blanks.
func Command(line []byte) (command, args string) {
	n := 0
	for n < len(line) && isWord(line[n]) {
		n++
	}
	return strings.ToLower(string(line[:n])), string(bytes.TrimLeft(line[n:], " \t\r\f\v"))
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Escape returns the text of an error line as the Perl server writes it: a blank becomes "+", and every byte
// that is no letter, no digit and none of _ , - . / \ : becomes %XX.
func Escape(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			b.WriteByte('+')
		case isWord(c) || strings.IndexByte(`,-./\:`, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
