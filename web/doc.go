// Package web is the operator's side of a broker: one more listener, off by default, with the dashboard at /,
// the API under /api/v1, metrics at /metrics and probes at /healthz and /readyz. A unix socket serves the
// same to the command line.
//
// It never blocks an event loop: it reads walks and snapshots, in goroutines of its own and with a budget per
// request. Without an option that enables it, none of it exists.
//
//	web          listeners, limits, what is mounted where
//	web/guard    who may ask for what: roles, tokens, sessions
//	web/action   carries out what operators ask for, and writes the audit log
//	web/rest     the API
//	web/pages    the dashboard; its styles and scripts are in web/static
//	web/metrics  what Prometheus reads
//	web/probe    /healthz and /readyz
//
// The values come from internal/view, in the types of package api.
package web
