package metrics

import (
	"maps"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"gearloop/reactor"
	"gearloop/sched"
)

// Gearloop has the metrics of the gearman exporter under the same names and types, with the same label and
// the meaning that its README gives. Gearloop's own metrics agree with them.
func TestExporterNames(t *testing.T) {
	r := newRig(t, sched.MetricsConfig{Functions: 10, Histograms: 10})
	r.busy()
	got := parsed(t, r.get("/metrics"))
	for name, want := range map[string]map[string]float64{
		"gearman_up":                                        {"": 1},
		"gearman_version_info":                              {"version=1.1.0": 1},
		"gearman_jobs":                                      {"function=resize": 3, "function=mail": 1},
		"gearman_jobs_running":                              {"function=resize": 1, "function=mail": 0},
		"gearman_jobs_waiting":                              {"function=resize": 2, "function=mail": 1},
		"gearman_workers":                                   {"function=resize": 1, "function=mail": 0},
		"gearloop_jobs_submitted_total":                     {"function=resize,kind=foreground": 2, "function=resize,kind=background": 3, "function=mail,kind=foreground": 0, "function=mail,kind=background": 1},
		"gearloop_jobs_coalesced_total":                     {"function=resize": 1, "function=mail": 0},
		"gearloop_jobs_handed_out_total":                    {"function=resize": 2, "function=mail": 0},
		"gearloop_job_wait_seconds":                         {"": 2},
		"gearloop_function_wait_seconds":                    {"function=resize": 2},
		"gearloop_workers":                                  {"": 1},
		"gearloop_metrics_functions_hidden":                 {"": 0},
		"gearloop_tls_certificate_expiry_timestamp_seconds": {"file=/etc/server.pem": 2e9},
	} {
		f := got[name]
		if f == nil || !maps.Equal(values(f), want) {
			t.Errorf("%s: %v, want %v", name, values(f), want)
		}
		if strings.HasPrefix(name, "gearman_") && f.GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s is a %v", name, f.GetType())
		}
	}
	if n := got["gearloop_build_info"]; n == nil || got["go_goroutines"] == nil || got["process_open_fds"] == nil {
		t.Error("no metrics of the program, Go or the process")
	}
}

// Bytes that a label's value may not contain are escaped. Names with line feeds do not get as far as this.
func TestEscapes(t *testing.T) {
	if got := string(appendEscaped(nil, "a\"b\\c\nd")); got != `a\"b\\c\nd` {
		t.Error(got)
	}
}

// Each reason has a name of its own.
func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range reactor.CloseReasons() {
		seen[name] = true
	}
	if len(seen) != len(reactor.CloseReasons()) || seen[""] {
		t.Errorf("%v", seen)
	}
}
