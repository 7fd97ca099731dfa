package reactor

import (
	"gearloop/codec"
	"gearloop/internal/payload"
)

// A frame that does not fit in the loop's buffer is read directly into its payload, except for what the first read
// brought: that has to be copied. Peers that send one large frame mostly send more of about its size. So where one
// is expected, the first read already puts its bytes where they belong: the header into the loop's buffer, the data
// into a payload. If something else comes, it is handled in these pieces.

// expect makes the connection expect a frame of this size, in bytes, if it is large. It is called when the data of
// such a frame have come.
func (c *conn) expect(size int) {
	c.vain = 0
	if c.expected = 0; size >= aheadSize {
		c.expected = uint32(size)
	}
}

// expects reports whether the next bytes are to be read as the beginning of a large frame; most is how many bytes
// may be read.
func (c *conn) expects(most int) bool {
	if c.expected == 0 || c.fast != nil || len(c.partial) > 0 || c.grab != 0 ||
		most < min(int(c.expected), payload.ChunkSize) {
		return false
	}
	s := c.loop.server
	return s.cfg.MaxMemory == 0 || s.inTransit() <= s.soft()
}

// readAhead is readSome where a large frame is expected. What was read lies, in this order, in the first
// codec.HeaderSize bytes of the loop's buffer, in the payload loop.ahead, and in the next behindSize bytes of the
// buffer.
func (c *conn) readAhead() (n int, full bool, err error) {
	l := c.loop
	p := payload.New(int(c.expected))
	data := p.Space()
	const behind = codec.HeaderSize + behindSize
	n, err = readSocketTo(c.FD, append(l.vectors[:0], l.buffer[:codec.HeaderSize], data, l.buffer[codec.HeaderSize:behind]))
	if n <= 0 {
		p.Release()
		return n, false, err
	}
	l.ahead = p
	return n, n == behind+len(data), nil
}

// tookAhead handles n bytes that readAhead has read. It takes over the reference to p.
func (c *conn) tookAhead(p *payload.Payload, n int) {
	head := c.loop.buffer[:min(n, codec.HeaderSize)]
	data := p.Space()
	data = data[:min(n-len(head), len(data))]
	behind := c.loop.buffer[codec.HeaderSize:][:n-len(head)-len(data)]
	if !c.begins(head, data, p) {
		// Deferred, for a fault.
		defer p.Release()
		if c.vain++; c.vain == aheadVain || len(data) > behindSize { // much of something else has come
			c.expected = 0
		}
		c.process(head)
		c.process(data)
		c.process(behind)
		return
	}
	own := min(len(data), p.Size())
	next := data[own:]             // of the next frame, if this one is shorter than expected
	held := payload.Of(p).Retain() // next lies in p
	defer held.Release()
	p.Filled(own)
	c.uploaded(own)
	c.process(next)
	c.process(behind)
}

// begins reports whether head and data are the beginning of a frame whose payload p may be, and makes p that.
func (c *conn) begins(head, data []byte, p *payload.Payload) bool {
	s := c.loop.server
	if len(data) == 0 || c.deaf || c.stopped() {
		return false
	}
	it, err := codec.Next(head, s.cfg.MaxPacket)
	if err != nil || it.Kind != codec.Head || int64(it.Size) > s.soft() || !p.Resize(it.Size) || c.mustWait(it.Size) {
		return false
	}
	c.loop.items++
	c.fast, c.fastItem = p, frameHead{it.Type, it.Response}
	c.book()
	c.loop.uploads.put(&c.upload, c.loop.uptime(), c.charged)
	return true
}
