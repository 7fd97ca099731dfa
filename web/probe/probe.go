// Package probe answers whether the broker is alive (/healthz) and ready for traffic (/readyz), for
// orchestrators and load balancers. Both need no role, because they reveal nothing else.
//
// A process that is not alive should be restarted, so /healthz fails only if that would help: a full disk or
// a full queue is no reason. /readyz fails while the broker starts and while it drains. A failing store makes
// it degraded, which is still 200 because foreground jobs work; with ?require=store it is 503.
package probe

import (
	"fmt"
	"net/http"
	"slices"

	"gearloop/internal/view"
)

// Source is the broker that probes ask.
type Source interface {
	Alive() error
	Ready() (all []view.Condition, ready bool)
}

// Mount adds the probes to a mux.
func Mount(mux *http.ServeMux, s Source) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Alive(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		conditions, ready := s.Ready()
		required := r.URL.Query()["require"]
		body, degraded := "", false
		for _, c := range conditions {
			mark := "+"
			if !c.OK {
				mark = "-"
				degraded = true
				ready = ready && !slices.Contains(required, c.Name)
			}
			body += fmt.Sprintf("%s%s: %s\n", mark, c.Name, c.Text)
		}
		switch {
		case !ready:
			answer(w, http.StatusServiceUnavailable, "not ready\n"+body)
		case degraded:
			answer(w, http.StatusOK, "degraded\n"+body)
		default:
			answer(w, http.StatusOK, "ok\n"+body)
		}
	})
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}
