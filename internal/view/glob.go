package view

// Matches reports whether a name matches a pattern: * matches any bytes, even none, ? matches one byte,
// everything else itself. Names may contain any byte, so there is no quoting; a pattern also matches the name
// equal to it. The time is at most the product of both lengths.
func Matches(pattern, name string) bool {
	if pattern == "" || pattern == name {
		return true
	}
	p, n := 0, 0
	star, mark := -1, 0 // the last *, and how much of the name it matches
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// isExact reports whether a pattern can match only one name.
func isExact(pattern string) bool {
	for i := range len(pattern) {
		if pattern[i] == '*' || pattern[i] == '?' {
			return false
		}
	}
	return pattern != ""
}
