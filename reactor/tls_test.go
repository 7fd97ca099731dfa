package reactor

import (
	"bytes"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// A worker uses TLS and a client does not, and the other way round, on two loops.
func TestTLSBesidePlain(t *testing.T) {
	r := newTLSRig(t, true, loops(2))
	for name, config := range r.versions() {
		for range 4 { // so that they get different loops
			secure := r.secureOver(r.tcp(), config)
			plain := r.plain()
			for _, pair := range [][2]*wire.Conn{{secure, plain}, {plain, secure}, {secure, secure}} {
				client, worker := pair[0], pair[1]
				worker.Send(codec.CanDo, "f")
				h := client.Submit(codec.SubmitJob, "f", "", "argument "+name)
				if got, argument := worker.Grab(); got != h || argument != "argument "+name {
					t.Fatalf("got %s, %q", got, argument)
				}
				worker.Send(codec.WorkComplete, h, "result")
				client.Want(codec.WorkComplete, h, "result")
				worker.Send(codec.CantDo, "f")
			}
			// Those of the round before may not have gone yet.
			wire.Await(t, "two connections are there", func() bool { return len(secure.Table("workers")) == 2 })
			secure.Close()
			plain.Close()
		}
	}
	r.none()
	r.quiet()
}

// 64 MiB pass through TLS in both directions, byte for byte, and leave nothing behind.
func TestTLSLargePayloads(t *testing.T) {
	r := newTLSRig(t, false, loops(2))
	for name, config := range r.versions() {
		t.Run(name, func(t *testing.T) {
			size := sample.Of(64, 16)<<20 - 200
			data := string(noise(size))
			client, worker := r.secureOver(r.tcp(), config), r.secureOver(r.tcp(), config)
			worker.Send(codec.CanDo, "f")
			h := client.Submit(codec.SubmitJob, "f", "", data)
			got, argument := worker.Grab()
			if got != h || argument != data {
				t.Fatalf("%d bytes of argument for %s", len(argument), got)
			}
			worker.Send(codec.WorkComplete, h, data)
			p := client.WantType(codec.WorkComplete)
			if args := p.Args(2); args[0] != h || args[1] != data {
				t.Fatalf("%d bytes came", len(p.Data))
			}
			client.Close()
			worker.Close()
			r.none()
			wire.Await(t, "nothing is left", func() bool { n, _ := payload.InUse(); return n == 0 && r.server.buffered() == 0 })
		})
	}
}

// Records and TCP segments may be cut anywhere.
func TestTLSCuts(t *testing.T) {
	r := newTLSRig(t, false, loops(1))
	sent, answer := conversation()
	for name, config := range r.versions() {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(sent); size += size/4 + 1 { // size of records
				c := r.secureOver(r.tcp(), config)
				for rest := sent; len(rest) > 0; {
					n := min(size, len(rest))
					c.Raw(rest[:n])
					rest = rest[n:]
				}
				wantBytes(t, c, answer)
				c.Close()
			}
			for size := 1; size <= 200; size += size/3 + 1 { // size of segments
				socket := &cutter{TCPConn: r.tcp()}
				c := r.secureOver(socket, config)
				socket.size = size
				for range 3 {
					c.Raw(sent)
					wantBytes(t, c, answer)
				}
				c.Close()
			}
		})
	}
	r.none()
}

// Frames of every interesting size arrive, in one write and one after the other.
func TestTLSFrameSizes(t *testing.T) {
	r := newTLSRig(t, false, loops(2))
	for _, size := range interesting() {
		c := r.secure()
		data := string(noise(size))
		frame := codec.AppendRequest(nil, codec.EchoReq, data)
		echo := codec.AppendPacket(nil, codec.EchoRes, data)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Raw(frame)
			c.Raw(cat(frame, []byte("version\n"), frame))
			c.Raw(frame[:len(frame)/2])
			c.Raw(cat(frame[len(frame)/2:], []byte("version\n")))
		}()
		version := []byte("v1.2.3\n")
		wantBytes(t, c, cat(echo, echo, version, echo, echo, version))
		<-done
		c.Close()
	}
	r.none()
}

// Many frames arrive that are answered at once, more than one turn may read.
func TestTLSPipelined(t *testing.T) {
	r := newTLSRig(t, false, loops(1))
	c := r.secure()
	frame, echo := codec.AppendRequest(nil, codec.EchoReq, "12345678"), codec.AppendPacket(nil, codec.EchoRes, "12345678")
	const n = 40_000
	done := make(chan struct{})
	go func() { defer close(done); c.Raw(bytes.Repeat(frame, n)) }()
	wantBytes(t, c, bytes.Repeat(echo, n))
	<-done
	c.Sync()
}
