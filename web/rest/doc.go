// Package rest serves the API, /api/v1: what internal/view shows and package action does, as the JSON of package api.
//
// Every route needs a role; reading has a budget per request, and what it could not look at is named by a cursor.
// Mistakes are problem documents. Files: rest.go (routes, and how answers are written), read.go, act.go, events.go (the
// stream).
package rest
