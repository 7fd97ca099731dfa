package acl

import (
	"errors"
	"fmt"
	"strconv"

	"gearloop/internal/glob"
)

// parsePattern parses a pattern: \xHH is the byte with this number, and \ before any other character is that
// character.
func parsePattern(text string) (p glob.Pattern, err error) {
	var symbols []uint16
	for i := 0; i < len(text); i++ {
		b := uint16(text[i])
		switch b {
		case '*':
			b = glob.AnyBytes
		case '?':
			b = glob.AnyByte
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
		symbols = append(symbols, b)
	}
	if len(symbols) == 0 {
		return p, errors.New("an empty name")
	}
	return glob.Of(symbols), nil
}

// patterns matches names that match one of them.
type patterns []glob.Pattern

func (ps patterns) matches(name string) bool {
	for i := range ps {
		if ps[i].Match(name) {
			return true
		}
	}
	return false
}
