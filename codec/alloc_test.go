package codec

import "testing"

// TestNoAllocations: reading costs no memory, and writing none but the buffer's.
func TestNoAllocations(t *testing.T) {
	dst := make([]byte, 0, 256)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"nothing there", nextOf("")},
		{"a beginning", nextOf(clientWires[0].raw[:HeaderSize-1])},
		{"a head", nextOf(clientWires[0].raw[:HeaderSize+1])},
		{"a frame", nextOf(clientWires[0].raw)},
		{"a line", nextOf("maxqueue reverse 10\r\n")},
		{"half a line", nextOf("maxque")},
		{"a broken magic", nextOf("\x00status")},
		{"a frame that is too large", nextOf("\x00REQ\x00\x00\x00\x07\xff\xff\xff\xff")},
		{"Cut", func() { Cut(dst[:cap(dst)]) }},
		{"AppendHeader", func() { dst = AppendHeader(dst[:0], WorkComplete, 64) }},
		{"AppendPacket", func() { dst = AppendPacket(dst[:0], JobAssign, "H:lap:1", "reverse", "abc") }},
		{"AppendRequest", func() { dst = AppendRequest(dst[:0], SubmitJob, "reverse", "u1", "abc") }},
	} {
		if n := testing.AllocsPerRun(100, c.f); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// nextOf returns a function that calls Next on these bytes.
func nextOf(raw string) func() {
	buf := []byte(raw)
	return func() { Next(buf, anySize) }
}
