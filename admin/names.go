package admin

// Names come from peers. The Perl and the C server write them into their tables unchanged: a line feed in a
// name ends the row, and a line feed, a dot and a line feed end the table for every monitor. Here, characters
// that could end a line or a column, or control a terminal, are written as %XX. Blanks, "%" and all other
// letters stay.

// appendName appends a function's name, a unique id, an argument that serves as one, or a client id.
func appendName(dst []byte, name string) []byte {
	const hex = "0123456789ABCDEF"
	plain := 0 // what is before it has been appended
	for i := 0; i < len(name); {
		n := controlAt(name, i)
		if n == 0 {
			i++
			continue
		}
		dst = append(dst, name[plain:i]...)
		for range n {
			dst = append(dst, '%', hex[name[i]>>4], hex[name[i]&15])
			i++
		}
		plain = i
	}
	return append(dst, name[plain:]...)
}

// controlAt returns how many bytes the control character or line separator at i has, 0 if there is none:
// those of ASCII, and in UTF-8 U+0080 to U+009F, U+2028 and U+2029. Programs that take bytes for letters see
// the former only.
func controlAt(name string, i int) int {
	switch c := name[i]; {
	case c < ' ' || c == 0x7f:
		return 1
	case c == 0xc2 && i+1 < len(name) && name[i+1] >= 0x80 && name[i+1] < 0xa0:
		return 2
	case c == 0xe2 && i+2 < len(name) && name[i+1] == 0x80 && (name[i+2] == 0xa8 || name[i+2] == 0xa9):
		return 3
	}
	return 0
}
