package payload

// View is a run of bytes to be read: plain bytes, or a Payload from an offset on. The zero View is
// empty.
type View struct {
	head  []byte // plain bytes; of a payload, what is in its first chunk from the offset on
	whole *Payload
}

// Borrow returns a view of plain bytes. It is valid as long as the bytes are.
func Borrow(b []byte) View { return View{head: b} }

// Of returns a view of a whole, full payload. It takes no reference.
func Of(p *Payload) View { return View{head: p.first, whole: p} }

// Len returns the number of bytes.
func (v View) Len() int {
	if v.whole != nil {
		return v.whole.size - len(v.whole.first) + len(v.head)
	}
	return len(v.head)
}

// Head returns the bytes that lie in one piece at the beginning: all of them, unless the view is of
// a payload of more than one chunk.
func (v View) Head() []byte { return v.head[:len(v.head):len(v.head)] }

// From returns the view without its first n bytes, which must lie in Head.
func (v View) From(n int) View {
	v.head = v.head[n:]
	return v
}

// Footprint returns the bytes of memory that keeping the view takes: the whole of a payload's
// chunks, however little of them the view shows.
func (v View) Footprint() int {
	if v.whole == nil {
		return len(v.head)
	}
	return v.whole.taken
}

// Share says that the view waits in one more place among those that have an account together, and returns the bytes to
// book there: the payload is booked once, however many places it waits in.
func (v View) Share() int {
	if v.whole != nil && v.whole.sharers.Add(1) == 1 {
		return v.whole.taken
	}
	return 0
}

// Unshare is the reverse of Share: it returns the bytes that are not to be booked any more.
func (v View) Unshare() int {
	if v.whole != nil && v.whole.sharers.Add(-1) == 0 {
		return v.whole.taken
	}
	return 0
}

// Shared reports whether the view is of a payload, so that it can be passed on without a copy.
func (v View) Shared() bool { return v.whole != nil }

// Keep returns a view of the same bytes that outlives the call it was borrowed for: a copy of plain
// bytes, one more reference to a payload.
func (v View) Keep() View {
	switch {
	case v.whole != nil:
		v.whole.Retain()
	case len(v.head) == 0:
		v.head = nil
	default:
		v.head = append(make([]byte, 0, len(v.head)), v.head...)
	}
	return v
}

// Retain takes one more reference to a payload and leaves plain bytes alone.
func (v View) Retain() View {
	if v.whole != nil {
		v.whole.Retain()
	}
	return v
}

// Release lets go of a reference that Keep or Retain took.
func (v View) Release() {
	if v.whole != nil {
		v.whole.Release()
	}
}

// Slices appends the bytes to dst, a slice for each piece, without copying them.
func (v View) Slices(dst [][]byte) [][]byte {
	if h := v.Head(); len(h) > 0 {
		dst = append(dst, h)
	}
	if v.whole != nil {
		// Head covers the offset: From never goes past the first chunk.
		dst = append(dst, v.whole.more...)
	}
	return dst
}

// Append appends a copy of the bytes to dst.
func (v View) Append(dst []byte) []byte {
	dst = append(dst, v.Head()...)
	if v.whole != nil {
		for _, c := range v.whole.more {
			dst = append(dst, c...)
		}
	}
	return dst
}
