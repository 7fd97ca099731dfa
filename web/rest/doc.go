// Package rest serves the API, /api/v1: what internal/view shows and package action does, as the JSON of
// package api.
//
// Every route requires a role. Reading has a budget per request; a cursor says where to continue. Errors are
// problem documents. Files: rest.go (routes, and how answers are written), read.go, act.go, events.go (the
// stream).
package rest
