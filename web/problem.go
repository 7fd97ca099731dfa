package web

import (
	"encoding/json"
	"net/http"

	"gearloop/api"
)

// WriteProblem answers a request with a problem document.
func WriteProblem(w http.ResponseWriter, _ *http.Request, p *api.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
