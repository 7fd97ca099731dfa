package glob

import (
	"strings"
	"testing"
	"time"
)

// TestMatch: wildcards stand for any bytes, and nothing is quoted.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "x", true}, {"*", "", true}, {"*", "a/b\nc", true}, {"a*b", "a/x/b", true}, {"a*b", "ab", true}, {"a*b", "abc", false},
		{"?", "", false}, {"??", "ab", true}, {"a*b*c", "aXbXbc", true}, {"a*b*c", "aXbX", false}, {"[a]", "[a]", true}, {"[a]", "a", false},
		{`a\*`, `a\*`, true}, {"**a", "ba", true}, {"\xff?", "\xff\x00", true},
	} {
		p := New(c.pattern)
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.name, got)
		}
	}
	// A pattern that others would try in a million ways.
	begun := time.Now()
	if p := New(strings.Repeat("*a", 100) + "b"); p.Match(strings.Repeat("a", 512)) || time.Since(begun) > time.Minute {
		t.Error("matches, or takes too long")
	}
}

// TestKinds: patterns know whether they match every name, or only one.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		pattern, exact string
		isExact, all   bool
	}{
		{"", "", false, true}, {"*", "", false, true}, {"**", "", false, true}, {"?*", "", false, false}, {"a", "a", true, false},
	} {
		p := New(c.pattern)
		if exact, ok := p.Exact(); exact != c.exact || ok != c.isExact || p.All() != c.all {
			t.Errorf("%q: %q, %v, %v", c.pattern, exact, ok, p.All())
		}
	}
	if p := Of([]uint16{'*', AnyByte}); !p.Match("*a") || p.Match("ba") || p.Match("*") {
		t.Error("a byte that looks like a wildcard does not match itself")
	}
}
