// Package glob matches names against patterns: * matches any bytes, even none, ? matches one byte, and every
// other byte matches itself. Names may hold any bytes, and / has no special meaning.
package glob

import "slices"

// Symbols of a pattern besides single bytes, for Of.
const (
	AnyByte  uint16 = 1 << 8
	AnyBytes uint16 = 2 << 8
)

// Pattern is a compiled pattern. It is immutable. The zero value matches the empty name only.
type Pattern struct {
	exact string   // the only name it matches, if wild is nil
	wild  []uint16 // bytes, AnyByte and AnyBytes
}

// New compiles a pattern without quoting: * and ? always are wildcards. "" matches every name.
func New(text string) Pattern {
	if text == "" {
		text = "*"
	}
	symbols := make([]uint16, len(text))
	for i := range len(text) {
		switch text[i] {
		case '*':
			symbols[i] = AnyBytes
		case '?':
			symbols[i] = AnyByte
		default:
			symbols[i] = uint16(text[i])
		}
	}
	return Of(symbols)
}

// Of returns the pattern of these symbols, each a byte, AnyByte or AnyBytes. It may change them.
func Of(symbols []uint16) Pattern {
	if !slices.ContainsFunc(symbols, func(s uint16) bool { return s >= AnyByte }) {
		exact := make([]byte, len(symbols))
		for i, s := range symbols {
			exact[i] = byte(s)
		}
		return Pattern{exact: string(exact)}
	}
	// Two of AnyBytes in a row mean the same as one.
	return Pattern{wild: slices.CompactFunc(symbols, func(a, b uint16) bool { return a == AnyBytes && b == AnyBytes })}
}

// Exact returns the only name that the pattern matches; ok is false if it has wildcards.
func (p *Pattern) Exact() (name string, ok bool) { return p.exact, p.wild == nil }

// All reports whether the pattern matches every name.
func (p *Pattern) All() bool { return len(p.wild) == 1 && p.wild[0] == AnyBytes }

// Match reports whether the pattern matches a name. The time is at most the product of both lengths.
func (p *Pattern) Match(name string) bool {
	if p.wild == nil {
		return p.exact == name
	}
	at, n := 0, 0
	star, mark := -1, 0 // the last AnyBytes, and how much of the name it matches
	for n < len(name) {
		switch {
		case at < len(p.wild) && p.wild[at] == AnyBytes:
			star, mark = at, n
			at++
		case at < len(p.wild) && (p.wild[at] == AnyByte || p.wild[at] == uint16(name[n])):
			at++
			n++
		case star >= 0:
			mark++
			at, n = star+1, mark
		default:
			return false
		}
	}
	return at == len(p.wild) || at == len(p.wild)-1 && p.wild[at] == AnyBytes
}
