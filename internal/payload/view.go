package payload

// View is a run of bytes to read: plain bytes, or a Payload from an offset on. The zero View is empty.
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

// Head returns the bytes of the first piece. These are all bytes, unless the view is of a payload with more
// than one chunk.
func (v View) Head() []byte { return v.head[:len(v.head):len(v.head)] }

// Space returns the memory of plain bytes as an empty slice, nil for a payload. Who overwrites it must own it.
func (v View) Space() []byte {
	if v.whole != nil {
		return nil
	}
	return v.head[:0]
}

// From returns the view without its first n bytes, which must lie in Head.
func (v View) From(n int) View {
	v.head = v.head[n:]
	return v
}

// Footprint returns the bytes of memory that keeping the view takes. For a payload these are all its chunks,
// even if the view has few of their bytes.
func (v View) Footprint() int {
	if v.whole == nil {
		return len(v.head)
	}
	return v.whole.allocated
}

// Share records that the view waits in one more output, and returns the bytes to charge for it. A payload is
// charged once, however many outputs it waits in.
func (v View) Share() int {
	if v.whole != nil && v.whole.sharers.Add(1) == 1 {
		return v.whole.allocated
	}
	return 0
}

// Unshare undoes Share, and returns the bytes to refund.
func (v View) Unshare() int {
	if v.whole != nil && v.whole.sharers.Add(-1) == 0 {
		return v.whole.allocated
	}
	return 0
}

// Shared reports whether the view is of a payload, which can be passed on without a copy.
func (v View) Shared() bool { return v.whole != nil }

// Keep returns a view of the same bytes that stays valid after the call: a copy of plain bytes, or one more
// reference to a payload.
func (v View) Keep() View {
	switch {
	case v.whole != nil:
		v.whole.retain()
	case len(v.head) == 0:
		v.head = nil
	default:
		v.head = append(make([]byte, 0, len(v.head)), v.head...)
	}
	return v
}

// Retain adds a reference to a payload. It does nothing for plain bytes.
func (v View) Retain() View {
	if v.whole != nil {
		v.whole.retain()
	}
	return v
}

// Release drops a reference that Keep or Retain added.
func (v View) Release() {
	if v.whole != nil {
		v.whole.Release()
	}
}

// Slices appends one slice for each piece to dst. The bytes are not copied.
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
