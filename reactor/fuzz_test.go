package reactor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/collect"
	"gearloop/test/wire"
)

// FuzzConnection sends any bytes in any pieces to a server, ends the connection in one of several ways, and
// checks that another client and its worker are still served. The answers must be whole packets and lines,
// and nothing of the connection may be left.
func FuzzConnection(f *testing.F) {
	for i, seed := range seeds() {
		f.Add(seed, uint16(1+i*7%50), uint8(i))
	}
	path := filepath.Join(f.TempDir(), "s")
	r := newRig(f, func(s *setup) {
		s.listen, s.MaxPacket, s.Log = []string{"unix:" + path}, 1<<20, noLog()
	})
	name := fmt.Sprintf("healthy-%x", rand.Uint64())
	connect := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { c.Close() })
		return c
	}
	client, worker, cleaner := connect(), connect(), connect()
	wire.New(f, worker).Send(codec.CanDo, name)

	f.Fuzz(func(t *testing.T, data []byte, piece uint16, way uint8) {
		c := wire.Dial(t, r.addrs[0])
		c.Sync()
		answer := make(chan []byte, 1)
		reads := way&4 == 0
		if reads {
			go func() {
				var all bytes.Buffer
				all.ReadFrom(c.Reader())
				answer <- all.Bytes()
			}()
		}
		sendPieces(t, c, withoutShutdown(data), int(piece))
		if way&3 == 0 {
			c.CloseWrite()
			if reads {
				checkAnswer(t, <-answer)
			}
		}
		c.Close()
		wire.Await(t, "the connection is gone", func() bool {
			n := r.sched.Count()
			return n.Peers == 3 && n.Abilities == 1 && n.Running == 0 && r.server.halfClosed.count() == 0
		})

		hc, hw := wire.New(t, client), wire.New(t, worker)
		h := hc.Submit(codec.SubmitJob, name, "u", "argument")
		if got, _ := hw.Grab(); got != h {
			t.Fatalf("the worker got %s, want %s", got, h)
		}
		hw.Send(codec.WorkComplete, h, "result")
		hc.Want(codec.WorkComplete, h, "result")

		r.doQueued(wire.New(t, cleaner))
		n := r.sched.Count()
		if n.Running != 0 || n.Abilities != 1 || n.Listeners != 0 && n.Delayed == 0 {
			t.Errorf("left: %+v", n)
		}
		if left, b := payload.InUse(); left != 0 && n.Delayed == 0 {
			t.Errorf("%d payloads of %d bytes left", left, b)
		}
		if n := r.server.counters.Panics.Load(); n != 0 {
			t.Errorf("%d internal faults", n)
		}
	})
}

// sendPieces sends bytes in pieces of this size, or of a larger one if there would be many. Each piece is
// read before the next is sent. The server may close the connection before all is sent.
func sendPieces(t *testing.T, c *wire.Conn, data []byte, size int) {
	size = max(size, len(data)/64+1)
	for len(data) > 0 {
		n := min(size, len(data))
		if _, err := c.Write(data[:n]); err != nil {
			return
		}
		awaitRead(t, c)
		data = data[n:]
	}
}

// doQueued completes all queued jobs and forgets their functions.
func (r *rig) doQueued(w *wire.Conn) {
	functions := collect.Rows(r.sched.WalkFunctions())
	for _, f := range functions {
		if f.Total > f.Running {
			w.Send(codec.CanDo, f.Name)
		}
	}
	for {
		w.Send(codec.GrabJob)
		p := w.Next()
		if p.Type == codec.NoJob {
			break
		}
		w.Send(codec.WorkFail, p.Args(2)[0])
	}
	w.Send(codec.ResetAbilities)
	w.Sync()
}

// checkAnswer fails unless the answers are lines and whole packets that a server may send.
func checkAnswer(t *testing.T, b []byte) {
	for rest := b; len(rest) > 0; {
		if rest[0] != 0 {
			_, after, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				t.Fatalf("ends with half a line: %q", rest)
			}
			rest = after
			continue
		}
		if len(rest) < codec.HeaderSize || string(rest[:4]) != "\x00RES" {
			t.Fatalf("no packet: %q", rest)
		}
		kind, size := codec.Type(binary.BigEndian.Uint32(rest[4:])), int(binary.BigEndian.Uint32(rest[8:]))
		if !kind.Known() || size > len(rest)-codec.HeaderSize {
			t.Fatalf("no packet: %v of %d bytes, there are %d", kind, size, len(rest)-codec.HeaderSize)
		}
		rest = rest[codec.HeaderSize+size:]
	}
}

var shutdownCommand = regexp.MustCompile(`(?i)shutdown`)

// withoutShutdown removes the one command that ends the server for everybody.
func withoutShutdown(data []byte) []byte {
	return shutdownCommand.ReplaceAll(data, []byte("shut-off"))
}

// seeds are whole conversations: one for each packet and command, and for each difficulty of the framing.
func seeds() [][]byte {
	var all [][]byte
	for t := codec.Type(0); t < 44; t++ {
		all = append(all, codec.AppendRequest(codec.AppendRequest(nil, t, "f", "u", "1", "x"), t))
	}
	for _, line := range []string{"workers", "status", "jobs", "clients", "gladiator all", "maxqueue f 1", "version", "", "bogus ü"} {
		all = append(all, []byte(line+"\r\n"+line+"\n"))
	}
	chat := func(parts ...any) {
		var b []byte
		for i := 0; i < len(parts); i++ {
			switch p := parts[i].(type) {
			case string:
				b = append(b, p...)
			case codec.Type:
				i++
				b = codec.AppendRequest(b, p, parts[i].([]string)...)
			}
		}
		all = append(all, b)
	}
	h := "H:rig:1"
	chat(codec.CanDo, []string{"f"}, codec.SubmitJobBg, []string{"f", "", "x"}, codec.GrabJob, []string{}, codec.WorkComplete, []string{h, "y"})
	chat(codec.CanDoTimeout, []string{"f", "0.001"}, codec.AllYours, []string{}, codec.SubmitJob, []string{"f", "-", "x"}, codec.WorkStatus, []string{h, "1", "2"})
	chat(codec.CanDo, []string{"f"}, codec.PreSleep, []string{}, codec.SubmitJobHigh, []string{"f", "u", "x"}, "workers\nclients\n", codec.GrabJobAll, []string{})
	chat(codec.OptionReq, []string{"exceptions"}, codec.SubmitJob, []string{"f", "u", "x"}, codec.CanDo, []string{"f"}, codec.GrabJobUniq, []string{}, codec.WorkException, []string{h, "e"})
	chat(codec.SubmitJobEpoch, []string{"f", "", "1", "x"}, codec.SubmitJobSched, []string{"f", "", "61", "", "", "", "", "x"}, "jobs\n")
	chat(codec.SubmitJobBg, []string{"f", "", strings.Repeat("x", 70<<10)}, "maxqueue f 0\n", codec.SubmitJobBg, []string{"f", "", "x"})
	chat("\x00RES\x00\x00\x00\x10\x00\x00\x00\x02ab", "version\n", "\x00RE")
	chat("\x00REQ\x00\x00\x00\x10\x00\x10\x00\x01")
	chat("\x00REQ\x00\x00\x00\x07\x00\x0f\xff\xfff\x00\x00")
	chat(strings.Repeat("v", codec.MaxLine), "\nversion\n", strings.Repeat("v", codec.MaxLine+1))
	chat(codec.CanDo, []string{strings.Repeat("n", sched.MaxFunction+1)}, codec.SetClientID, []string{" a b\n"}, "workers\n")
	return all
}
