package difftest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// tokenize splits a line at blanks outside of strings.
func tokenize(line string) ([]string, error) {
	var tokens []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return tokens, nil
		}
		n, err := tokenLength(line)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, line[:n])
		line = line[n:]
	}
}

func tokenLength(line string) (int, error) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case !quoted && (line[i] == ' ' || line[i] == '\t'):
			return i, nil
		}
	}
	if quoted {
		return 0, fmt.Errorf("a string does not end: %s", line)
	}
	return len(line), nil
}

// evaluate returns the bytes of a token. handle resolves $H1 and so on.
func evaluate(token string, handle func(name string) (string, error)) (string, error) {
	if token == "" || !strings.ContainsRune(`"$@`, rune(token[0])) {
		return token, nil
	}
	var out strings.Builder
	for {
		term, rest, err := evaluateTerm(token, handle)
		if err != nil {
			return "", fmt.Errorf("%s: %w", token, err)
		}
		out.WriteString(term)
		if rest == "" {
			return out.String(), nil
		}
		if rest[0] != '+' || len(rest) == 1 {
			return "", fmt.Errorf("%s: what is %q?", token, rest)
		}
		token = rest[1:]
	}
}

// evaluateTerm evaluates one term and its "*N", and returns the rest.
func evaluateTerm(s string, handle func(string) (string, error)) (value, rest string, err error) {
	switch s[0] {
	case '"':
		value, rest, err = unquote(s)
	case '$':
		var name string
		name, rest = cutAtOperator(s)
		value, err = handle(strings.TrimPrefix(name, "$"))
	case '@':
		var size string
		var n int
		size, rest = cutAtOperator(s)
		n, err = parseSize(size[1:])
		value = pattern(n)
	default:
		err = errors.New("a term is a string, a $name or an @size")
	}
	if err != nil || rest == "" || rest[0] != '*' {
		return value, rest, err
	}
	times, rest := cutAtOperator(rest[1:])
	n, err := strconv.Atoi(times)
	if err != nil || n < 0 {
		return "", "", fmt.Errorf("%q is no count", times)
	}
	return strings.Repeat(value, n), rest, nil
}

func cutAtOperator(s string) (term, rest string) {
	if i := strings.IndexAny(s, "+*"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// unquote parses a string with Go's escapes and \0 for NUL.
func unquote(s string) (value, rest string, err error) {
	var out []byte
	for s = s[1:]; ; {
		switch {
		case s == "":
			return "", "", errors.New("a string does not end")
		case s[0] == '"':
			return string(out), s[1:], nil
		case strings.HasPrefix(s, `\0`) && !octal(s):
			out, s = append(out, 0), s[2:]
		default:
			r, multibyte, tail, err := strconv.UnquoteChar(s, '"')
			if err != nil {
				return "", "", err
			}
			if multibyte {
				out = append(out, string(r)...)
			} else {
				out = append(out, byte(r))
			}
			s = tail
		}
	}
}

// octal reports whether s begins with a complete octal escape such as \012.
func octal(s string) bool {
	return len(s) >= 4 && isOctal(s[2]) && isOctal(s[3])
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

// parseSize parses a number of bytes with an optional KiB or MiB.
func parseSize(s string) (int, error) {
	digits, factor := s, 1
	if d, ok := strings.CutSuffix(s, "KiB"); ok {
		digits, factor = d, 1<<10
	} else if d, ok := strings.CutSuffix(s, "MiB"); ok {
		digits, factor = d, 1<<20
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n * factor, nil
}

// patternPeriod is the length of the repeated block. It divides no power of two, so that a lost, duplicated
// or displaced block is detected.
const patternPeriod = 251 * 13

var patternBlock = func() string {
	b := make([]byte, patternPeriod)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}()

// pattern returns n bytes that depend only on n.
func pattern(n int) string {
	return strings.Repeat(patternBlock, n/patternPeriod+1)[:n]
}
