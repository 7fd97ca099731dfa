package reactor

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/sample"
)

// payloadOf returns a payload with these bytes, and one reference.
func payloadOf(b []byte) *payload.Payload {
	p := payload.New(len(b))
	p.Fill(b)
	return p
}

// Whatever is added to an output is written once and in order, however it is written. Everything is freed.
func TestOutputKeepsOrder(t *testing.T) {
	data := noise(300 << 10)
	for seed := range uint64(sample.Of(50, 10)) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var o output
		var want, got []byte
		for range 60 {
			switch rnd.IntN(4) {
			case 0:
				b := data[:rnd.IntN(200)]
				o.bytes(b)
				want = append(want, b...)
			case 1:
				body := data[rnd.IntN(1000):]
				body = body[:1000]
				o.packet(codec.WorkData, []byte("a\x00"), payload.Borrow(body))
				want = codec.AppendPacket(want, codec.WorkData, "a", string(body))
			case 2:
				body := data[rnd.IntN(len(data)):]
				o.packet(codec.WorkComplete, []byte("h\x00"), payload.Of(payloadOf(body)))
				want = codec.AppendPacket(want, codec.WorkComplete, "h", string(body))
			case 3:
				for range rnd.IntN(10) {
					if o.empty() {
						break
					}
					all := bytes.Join(o.vectors(nil), nil)
					n := 1 + rnd.IntN(len(all))
					got = append(got, all[:n]...)
					o.written(n)
				}
			}
			if o.size != len(want)-len(got) {
				t.Fatalf("seed %d: size is %d, want %d", seed, o.size, len(want)-len(got))
			}
		}
		if seed%2 == 0 {
			for !o.empty() {
				n := len(o.first())
				got = append(got, o.first()...)
				o.written(n)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("seed %d: output differs", seed)
			}
		} else if !bytes.HasPrefix(want, got) {
			t.Fatalf("seed %d: output differs", seed)
		}
		o.release()
		if n, b := payload.InUse(); n != 0 || b != 0 {
			t.Fatalf("seed %d: %d payloads of %d bytes in use", seed, n, b)
		}
		if o.pieces != nil || o.size != 0 {
			t.Fatalf("seed %d: not empty after release", seed)
		}
	}
}

// A connection whose peer reads, but always lags a little, takes no more memory the longer it lasts.
func TestOutputOfLaggingReaderStaysSmall(t *testing.T) {
	var o output
	data := []byte(strings.Repeat("x", 8<<10))
	o.packet(codec.WorkData, nil, payload.Of(payloadOf(data)))
	for range 20_000 {
		o.packet(codec.WorkData, nil, payload.Of(payloadOf(data)))
		o.written(codec.HeaderSize + len(data))
	}
	if c := cap(o.pieces); c > 1000 {
		t.Errorf("room for %d pieces where 2 are needed", c)
	}
	o.release()
}

// One write is bounded in pieces and bytes. No piece is empty.
func TestOutputVectors(t *testing.T) {
	var o output
	for range 3 * maxVectors {
		o.packet(codec.WorkData, nil, payload.Of(payloadOf(make([]byte, shareSize))))
	}
	if n := len(o.vectors(nil)); n != maxVectors {
		t.Errorf("%d pieces in one write, want %d", n, maxVectors)
	}
	o.release()

	data := noise(3*writeSize + 1)
	for name, write := range map[string]func(){
		"one piece": func() { o.bytes(data) },
		"payload":   func() { o.packet(codec.WorkData, nil, payload.Of(payloadOf(data))) },
		"empty pieces": func() {
			o.bytes(data[:2*gatherSize])
			o.bytes(nil)
			o.packet(codec.WorkData, nil, payload.Of(payloadOf(data)))
		},
	} {
		write()
		for !o.empty() {
			pieces := o.vectors(nil)
			if n := len(bytes.Join(pieces, nil)); n != min(writeSize, o.size) {
				t.Errorf("%s: %d bytes in one write where %d are left", name, n, o.size)
			}
			for _, b := range pieces {
				if len(b) == 0 {
					t.Errorf("%s: an empty piece", name)
				}
			}
			o.written(writeSize - 1)
			if o.size < writeSize {
				break
			}
		}
		o.release()
	}
}

// Memory is counted as it is taken: a payload once for all connections that wait for it, until the last has
// written it; gathered bytes until they are written; and a cost for each piece.
func TestOutputIsBooked(t *testing.T) {
	var total atomic.Int64
	outs := []output{{total: &total}, {total: &total}, {total: &total}}
	body := payload.Of(payloadOf(noise(600 << 10)))
	for i := range outs {
		outs[i].bytes(make([]byte, 1000))
		outs[i].packet(codec.WorkData, nil, body.Retain())
		outs[i].publish()
	}
	body.Release()
	want := func(what string, payloads, least, most int) {
		t.Helper()
		if n := int(total.Load()) - payloads*body.Footprint(); n < least || n > most {
			t.Errorf("%s: %d bytes are booked beside the payload, want %d to %d", what, n, least, most)
		}
	}
	want("all wait", 1, 3*1000, 3*(1000+100+8*pieceCost))
	outs[0].written(outs[0].size)
	outs[0].publish()
	want("one has written", 1, 2*1000, 2*(1000+100+8*pieceCost))
	outs[1].written(1000 + 12 + 300<<10)
	outs[1].publish()
	want("the second has written a part", 1, 1000, 1000+200+2*8*pieceCost)
	outs[1].release()
	want("the second is closed", 1, 1000, 1000+100+8*pieceCost)
	outs[2].written(outs[2].size)
	outs[2].publish()
	want("all have gone", 0, 0, 0)
	noPayload(t)
}
