// Package metrics serves what Prometheus reads, in its text format: at /metrics the broker with a bounded number of
// functions, at /metrics/functions any functions. docs/metrics.md has every name; families.go is where they come from.
//
// The names gearman_* are those of the gearman exporter, with the same types and label, so that its dashboards and alerts
// go on working. What a broker counts are plain fields under locks that are held anyway; a scrape walks through them in
// steps, and lets the event loops go first after each.
//
// The text is written here and not by client_golang, which makes an object of every sample: 26,000 of them, which is what
// the bounds allow, take it 0.3 s and 20 MB, against a tenth of that here. Go's own numbers and the process's are
// client_golang's.
package metrics
