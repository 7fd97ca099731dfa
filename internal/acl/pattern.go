package acl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pattern matches names: * matches any bytes, even none, ? one byte, everything else itself.
type pattern struct {
	exact string   // the name it matches, if it has neither * nor ?
	wild  []uint16 // otherwise: bytes, anyByte and anyBytes
}

const (
	anyByte  uint16 = 1 << 8
	anyBytes uint16 = 2 << 8
)

// parsePattern parses a pattern: \xHH is the byte with this number, and \ before any other character is that
// character.
func parsePattern(text string) (p pattern, err error) {
	isWild := false
	for i := 0; i < len(text); i++ {
		b := uint16(text[i])
		switch b {
		case '*':
			isWild = true
			b = anyBytes
			if n := len(p.wild); n > 0 && p.wild[n-1] == anyBytes {
				continue // two mean the same as one
			}
		case '?':
			isWild = true
			b = anyByte
		case '"', '\'':
			return p, fmt.Errorf("%s: quotes have no meaning here: write %s\\x20%s for a name with a blank, and \\%c for a quote in a name",
				strconv.Quote(text), "a", "b", b)
		case '\\':
			if i++; i == len(text) {
				return p, fmt.Errorf("%s: there is nothing after the \\: write \\\\ for the sign itself", strconv.Quote(text))
			}
			b = uint16(text[i])
			if b != 'x' {
				break
			}
			n, err := strconv.ParseUint(text[i+1:min(i+3, len(text))], 16, 8)
			if err != nil || i+3 > len(text) {
				return p, fmt.Errorf("%s: \\x needs two hexadecimal digits, as \\x20 for a blank", strconv.Quote(text))
			}
			b = uint16(n)
			i += 2
		}
		p.wild = append(p.wild, b)
	}
	if len(p.wild) == 0 {
		return p, errors.New("an empty name")
	}
	if !isWild {
		var exact strings.Builder
		for _, b := range p.wild {
			exact.WriteByte(byte(b))
		}
		p = pattern{exact: exact.String()}
	}
	return p, nil
}

// all reports whether the pattern matches every name.
func (p *pattern) all() bool { return len(p.wild) == 1 && p.wild[0] == anyBytes }

// matches reports whether a name matches. The time is at most the product of both lengths.
func (p *pattern) matches(name string) bool {
	if p.wild == nil {
		return p.exact == name
	}
	at, n := 0, 0
	star, mark := -1, 0 // the last *, and how much of the name it matches
	for n < len(name) {
		switch {
		case at < len(p.wild) && p.wild[at] == anyBytes:
			star, mark = at, n
			at++
		case at < len(p.wild) && (p.wild[at] == anyByte || p.wild[at] == uint16(name[n])):
			at++
			n++
		case star >= 0:
			mark++
			at, n = star+1, mark
		default:
			return false
		}
	}
	for at < len(p.wild) && p.wild[at] == anyBytes {
		at++
	}
	return at == len(p.wild)
}

// patterns matches names that match one of them.
type patterns []pattern

func (ps patterns) matches(name string) bool {
	for i := range ps {
		if ps[i].matches(name) {
			return true
		}
	}
	return false
}
