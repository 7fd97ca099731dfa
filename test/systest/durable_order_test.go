package systest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// slowly starts a server whose disk takes this long for each sync.
func (k *keeper) slowly(sync time.Duration) (addr string) {
	k.t.Helper()
	// Only syncs of the first segment are slow: a start has other syncs.
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		k.t.Fatal(err)
	}
	_, addr, _ = k.traced("--seccomp-bpf", "-P", filepath.Join(k.dir, "0000000001.log"), "-e", "trace="+syncs,
		"-e", fmt.Sprintf("inject=%s:delay_enter=%d", syncs, sync.Microseconds()))
	return addr
}

// nothing reports whether nothing has arrived.
func nothing(c *wire.Conn) bool {
	in := c.Reader()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := in.Peek(1)
	return err != nil
}

// Answers come in the order of the requests, whichever of them wait for the disk. Other connections do not
// wait.
func TestSlowDisk(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		sync := 500 * time.Millisecond
		addr := k.slowly(sync)
		version := map[string]string{"perl": "v", "c": "OK "}[k.dialect]
		conclusive := 0
		for try := 0; conclusive < 2; try++ {
			if try == 5 {
				if sync *= 2; sync > await.Scaled(10*time.Second) {
					t.Fatal("this machine is too slow to tell")
				}
				k = newKeeper(t, k.dialect)
				addr, try = k.slowly(sync), 0
			}
			client, other, worker := wire.Dial(t, addr), wire.Dial(t, addr), wire.Dial(t, addr)
			for _, c := range []*wire.Conn{client, other, worker} {
				c.Sync()
			}
			worker.Send(codec.CanDo, "waits")
			b := codec.AppendRequest(nil, codec.EchoReq, "before")
			b = codec.AppendRequest(b, codec.SubmitJobBg, "f", "", "1")
			b = codec.AppendRequest(b, codec.EchoReq, "between")
			b = codec.AppendRequest(b, codec.SubmitJob, "waits", "", "2")
			b = codec.AppendRequest(b, codec.GetStatus, "H:nobody:1")
			b = append(b, "version\r\n"...)
			b = codec.AppendRequest(b, codec.SubmitJobHighBg, "f", "", "3")
			b = codec.AppendRequest(b, codec.OptionReq, "exceptions")
			began := time.Now()
			client.Raw(b)
			client.Want(codec.EchoRes, "before")
			// Meanwhile the foreground job is done, and so are those of other clients.
			handle, _ := worker.Grab()
			worker.Send(codec.WorkComplete, handle, "result")
			worker.Sync()
			for range 20 {
				mine := other.Submit(codec.SubmitJob, "waits", "", "x")
				worker.Grab()
				worker.Send(codec.WorkComplete, mine, "y")
				other.Want(codec.WorkComplete, mine, "y")
			}
			quiet := nothing(client)
			if took := time.Since(began); took < sync/2 {
				conclusive++
				if !quiet {
					t.Errorf("an answer came %v after the request; a sync takes %v", took, sync)
				}
			}
			first := string(client.WantType(codec.JobCreated).Data)
			client.Want(codec.EchoRes, "between")
			client.Want(codec.JobCreated, handle)
			client.Want(codec.StatusRes, statusOfNobody(k.dialect)...)
			if line := client.ReadLine(); !strings.HasPrefix(line, version) {
				t.Errorf("the version is %q", line)
			}
			second := string(client.WantType(codec.JobCreated).Data)
			client.Want(codec.OptionRes, "exceptions")
			client.Want(codec.WorkComplete, handle, "result")
			if first == second {
				t.Errorf("both jobs are %s", first)
			}
			client.Sync()
			for _, c := range []*wire.Conn{client, other, worker} {
				c.Close()
			}
		}
		// The jobs of many submitters share a sync.
		began := time.Now()
		var all []*wire.Conn
		for i := range 20 {
			c := wire.Dial(t, addr)
			for range 10 {
				c.Send(codec.SubmitJobBg, "g", "", strconv.Itoa(i))
			}
			all = append(all, c)
		}
		for _, c := range all {
			for range 10 {
				c.WantType(codec.JobCreated)
			}
		}
		if took := time.Since(began); took < sync/2 || took > 8*sync {
			t.Errorf("200 jobs took %v; a sync takes %v", took, sync)
		}
	})
}

func statusOfNobody(dialect string) []string {
	if dialect == "c" {
		return []string{"H:nobody:1", "0", "0", "0", "0"}
	}
	return []string{"H:nobody:1", "0", "0", "", ""}
}

// Every request on a connection, packet or line, is answered in order.
func TestOrderOfAnswers(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		each(t, 4, 4, func(n int) {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			c := wire.Dial(wire.Aside(t), s.Addr)
			for range 12 {
				var b []byte
				var runOne []func()
				for range 1 + r.IntN(60) {
					text := strconv.Itoa(r.IntN(1e9))
					created := func() { c.WantType(codec.JobCreated) }
					switch r.IntN(9) {
					case 0:
						b = codec.AppendRequest(b, codec.EchoReq, text)
						runOne = append(runOne, func() { c.Want(codec.EchoRes, text) })
					case 1:
						b = codec.AppendRequest(b, codec.SubmitJob, "f", "", text)
						runOne = append(runOne, created)
					case 2:
						b = codec.AppendRequest(b, codec.SubmitJobLowBg, "g", "", strings.Repeat("x", r.IntN(9000)))
						runOne = append(runOne, created)
					case 3:
						b = codec.AppendRequest(b, codec.SubmitJobBg, "f", strconv.Itoa(r.IntN(20)), text)
						runOne = append(runOne, created)
					case 4:
						b = codec.AppendRequest(b, codec.SubmitJobEpoch, "e", "", inAnHour(), text)
						runOne = append(runOne, created)
					case 5:
						b = codec.AppendRequest(b, codec.GetStatus, "H:nobody:1")
						runOne = append(runOne, func() { c.Want(codec.StatusRes, statusOfNobody(k.dialect)...) })
					case 6:
						b = codec.AppendRequest(b, codec.OptionReq, "nothing")
						runOne = append(runOne, func() { c.WantType(codec.Error) })
					case 7:
						b = append(b, "nonsense"+text+"\n"...)
						runOne = append(runOne, func() {
							if line := c.ReadLine(); !strings.HasPrefix(line, "ERR ") {
								wire.Aside(t).Fatalf("got %q", line)
							}
						})
					default:
						b = append(b, "status\n"...)
						runOne = append(runOne, func() {
							for c.ReadLine() != "." {
							}
						})
					}
				}
				c.Raw(b)
				for _, f := range runOne {
					f()
				}
			}
			c.Close()
		})
		k.kill()
	})
}
