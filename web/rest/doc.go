// Package rest serves the API, /api/v1: what internal/view shows and package action does, as the JSON of
// package api.
//
// Every route requires a role. Reading has a budget per request; a cursor says where to continue. Errors are
// problem documents. Files: rest.go (routes, and how answers are written), route.go (finding one), read.go,
// act.go, operations.go (actions on many jobs), events.go (the stream).
package rest
