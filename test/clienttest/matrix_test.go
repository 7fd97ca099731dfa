package clienttest

import "testing"

// TestEveryClientWithEveryWorker pairs each client with each worker: a worker's
// packets reach the clients of other libraries only through the server.
func TestEveryClientWithEveryWorker(t *testing.T) {
	t.Parallel()
	needNodePackages(t)
	g := buildG2(t)
	workers := []struct {
		name   string
		old    bool // it gets along with the Perl server
		launch func(*testing.T, *target)
	}{
		{"perl", true, func(t *testing.T, s *target) { perlWorker(t, s, "reverse", "hold") }},
		{"tool", false, func(t *testing.T, s *target) {
			launch(t, tool(s, "-w", "-f", "reverse", "--", "rev")...)
			launch(t, tool(s, "-w", "-f", "hold", "--", "sh", "-c", `cat "$(cat)"`)...)
		}},
		{"php", false, func(t *testing.T, s *target) { phpWorker(t, s, "reverse", "hold") }},
		{"gearman", true, func(t *testing.T, s *target) { nodeLibraries[0].worker(t, s, "reverse", "hold") }},
		{"gearmanode", true, func(t *testing.T, s *target) { nodeLibraries[1].worker(t, s, "reverse", "hold") }},
		{"abraxas", false, func(t *testing.T, s *target) { nodeLibraries[2].worker(t, s, "reverse", "hold") }},
		{"g2", false, func(t *testing.T, s *target) { g.startWorker(t, s, "reverse", "hold") }},
	}
	for _, w := range workers {
		t.Run(w.name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *target) {
				if !w.old && !s.extended() {
					t.Skip("not with Gearman::Server: it grabs jobs with a packet of the later protocol")
				}
				w.launch(t, s)
				s.awaitWorkers(t, 1, "reverse", "hold")
				run(t, "", perlClient(s, "one", "reverse", "abc")...).want(t, "reverse complete cba", "returned cba")
				run(t, "", tool(s, "-f", "reverse", "abc")...).wantText(t, 0, "cba")
				run(t, "", phpClient(s, "one", "reverse", "abc")...).want(t, "SUCCESS cba")
				for _, l := range nodeLibraries {
					run(t, "", l.client(s, "one", "reverse", "abc")...).want(t, "reverse created H", "reverse complete cba")
				}
				// See goclients/client for why its job must not end at once.
				gate := newGate(t)
				client := launch(t, g.args(s, "tasks", "normal:hold:"+gate.path)...)
				client.want(t, "submitted")
				gate.release(t, "held")
				client.want(t, "hold complete held")
				client.end(t, 0)
				s.await(t, "reverse", function{workers: 1})
				s.await(t, "hold", function{workers: 1})
			})
		})
	}
}
