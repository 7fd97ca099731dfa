package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/test/await"
)

// TestBulkStops: ^C stops a running operation, and the command reports what was done until then.
func TestBulkStops(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	op := api.Operation{ID: "7", Action: "cancel", State: api.OperationRunning, Matched: 18220, Changed: 5120}
	reason := ""
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/operations", func(w http.ResponseWriter, r *http.Request) {
		var in api.Operation
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !in.DryRun && (in.Confirm == nil || *in.Confirm != 18220) {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(op)
	})
	mux.HandleFunc("GET /api/v1/operations/7", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(op)
		interrupt() // from here on the next request may come beside this one
	})
	mux.HandleFunc("POST /api/v1/operations/7/stop", func(w http.ResponseWriter, r *http.Request) {
		var in api.Reason
		json.NewDecoder(r.Body).Decode(&in)
		reason, op.State = in.Reason, api.OperationStopped
		json.NewEncoder(w).Encode(op)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c, err := api.NewClient(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out strings.Builder
	a := &acting{broker: &broker{Client: c, address: server.URL, limit: await.Limit}, actFlags: &actFlags{}, out: &out, errs: &out, in: strings.NewReader("")}
	var status exitStatus
	err = a.bulk(ctx, api.Operation{Action: "cancel"}, &bulkFlags{yes: true})
	if !errors.As(err, &status) || status != exitFailure || out.String() != "Stopped: 5,120 jobs cancelled of 18,220 jobs\n" || reason != "^C" {
		t.Errorf("%q, %v; the reason is %q", out.String(), err, reason)
	}
}
