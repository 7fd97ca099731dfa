package view

// Matches reports whether a name is what a pattern means: * is any bytes, also none, ? is one byte, everything else is
// itself. Names may hold any byte, so there is nothing that quotes; a pattern that is a name in itself matches that, too.
// It takes no longer than the product of both lengths.
func Matches(pattern, name string) bool {
	if pattern == "" || pattern == name {
		return true
	}
	p, n := 0, 0
	star, mark := -1, 0 // the last * and how much of the name it has taken
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

// isExact reports whether a pattern can match no other name than itself.
func isExact(pattern string) bool {
	for i := range len(pattern) {
		if pattern[i] == '*' || pattern[i] == '?' {
			return false
		}
	}
	return pattern != ""
}
