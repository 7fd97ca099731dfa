package rest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// raw returns the whole argument of a job.
func (r *rig) raw(handle string) []byte {
	r.t.Helper()
	body, err := r.client.Stream(context.Background(), api.Path("jobs", handle, "argument"), url.Values{"raw": {""}}, "application/octet-stream")
	if err != nil {
		r.t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// TestArguments: arguments of any size and any bytes are returned, before and while a worker has the job,
// from memory and from the disk.
func TestArguments(t *testing.T) {
	for name, args := range map[string][]string{"memory": {"--max-memory", "16M"}, "disk": {"--data-dir", t.TempDir(), "--max-memory", "16M"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, args...)
			c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
			w.Send(codec.CanDo, "f")
			for range 5 { // beyond a quarter of --max-memory large arguments are on the disk alone
				c.Submit(codec.SubmitJobBg, "g", "", strings.Repeat("y", 1_000_000))
			}
			for i, argument := range []string{
				"", "x", "\x00", "\xff", "{}\n", strings.Repeat("大", 1400), "a" + strings.Repeat("大", 1400), "\xff" + strings.Repeat("大", 1400),
				strings.Repeat("\xe5", 5000), strings.Repeat("x", 4096), strings.Repeat("x", 4097), strings.Repeat("0123456789abcdef", 60_000),
			} {
				handle := c.Submit(codec.SubmitJobBg, "f", "", argument)
				for _, state := range []string{"waiting", "running"} {
					what := fmt.Sprintf("argument %d, %s", i, state)
					if j := get[api.Job](r, api.Path("jobs", handle), nil); j.State != state || j.ArgumentSize != len(argument) {
						t.Errorf("%s: %+v", what, j)
					}
					a := get[api.Argument](r, api.Path("jobs", handle, "argument"), nil)
					shown := api.Join(a.Argument, a.ArgumentBase64)
					if !strings.HasPrefix(argument, shown) || a.Size != len(argument) || a.Truncated != (len(shown) < len(argument)) ||
						len(shown) < min(len(argument), 4096-3) || len(shown) > 4096 {
						t.Errorf("%s: %d of %d bytes, %v", what, len(shown), a.Size, a.Truncated)
					}
					if strings.HasPrefix(argument, "大") && a.ArgumentBase64 != nil || strings.HasPrefix(argument, "\xe5\xe5") && len(shown) != 4096 {
						t.Errorf("%s: %d bytes, as base64 %v", what, len(shown), a.ArgumentBase64 != nil)
					}
					if b := r.raw(handle); !bytes.Equal(b, []byte(argument)) {
						t.Errorf("%s: %d bytes, want %d", what, len(b), len(argument))
					}
					if len(argument) >= 8 {
						found := get[api.Page[api.Job]](r, "jobs", url.Values{"argument": {argument[:8]}, "function": {"f"}})
						if len(found.Items) == 0 {
							t.Errorf("%s is not found by its beginning", what)
						}
					}
					if state == "waiting" {
						if got, _ := w.Grab(); got != handle {
							t.Fatalf("got %s, want %s", got, handle)
						}
					}
				}
				if len(argument) > 900_000 {
					if m := get[api.Memory](r, "memory", nil); (m.Parts["jobs"] < 5_500_000) != (name == "disk") {
						t.Errorf("%s: jobs take %d bytes of memory", name, m.Parts["jobs"])
					}
				}
				w.Send(codec.WorkComplete, handle, "")
				await.Until(t, "the job has ended", func() bool {
					return r.client.Get(context.Background(), api.Path("jobs", handle), nil, nil) != nil
				})
				if p := r.fails("GET", api.Path("jobs", handle, "argument"), url.Values{"raw": {""}}, nil); p.Status != 404 {
					t.Errorf("of a job that has ended: %+v", p)
				}
			}
		})
	}
}

// TestConnectionOfAWorker: the API shows what a worker has in hand and has done, when it last asked for a
// job, and how it counts among a function's workers.
func TestConnectionOfAWorker(t *testing.T) {
	r := newRig(t)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.SetClientID, "gr\xf6\xdfe")
	w.Send(codec.CanDo, "f")
	worker := func() api.Connection {
		t.Helper()
		all := get[api.Page[api.Connection]](r, "connections", url.Values{"only": {"workers"}}).Items
		if len(all) != 1 {
			t.Fatalf("workers %+v", all)
		}
		return all[0]
	}
	for i, packet := range []codec.Type{codec.WorkComplete, codec.WorkFail, codec.WorkComplete} {
		handle := c.Submit(codec.SubmitJobBg, "f", "", fmt.Sprint(i))
		w.Grab()
		if n := worker(); n.State != "busy" || n.Jobs != 1 || n.Job != handle || n.LastAsked == nil || n.LastAsked.At.After(time.Now()) {
			t.Errorf("with a job: %+v", n)
		}
		if j := get[api.Job](r, api.Path("jobs", handle), nil); j.Worker == nil || string(j.Worker.ClientRaw) != "gr\xf6\xdfe" {
			t.Errorf("its worker: %+v", j.Worker)
		}
		args := []string{handle}
		if packet == codec.WorkComplete {
			args = append(args, "")
		}
		w.Send(packet, args...)
		w.Sync()
	}
	w.Send(codec.PreSleep)
	w.Sync()
	if n := worker(); n.State != "asleep" || n.Jobs != 0 || n.Job != "" || n.Oldest != 0 || n.Done != 2 || n.Failed != 1 || string(n.ClientRaw) != "gr\xf6\xdfe" {
		t.Errorf("asleep: %+v", n)
	}
	await.Until(t, "the function has a sleeper", func() bool {
		f := get[api.Function](r, "functions/f", nil)
		return f.Asleep == 1 && f.Busy == 0
	})
	clients := get[api.Page[api.Connection]](r, "connections", url.Values{"only": {"clients"}}).Items
	if len(clients) != 1 || clients[0].State != "client" || clients[0].LastAsked != nil || clients[0].ClientID != "" {
		t.Errorf("clients %+v", clients)
	}
}
