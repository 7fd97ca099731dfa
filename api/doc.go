// Package api is the contract of Gearloop's HTTP interface, version 1: the values that travel under
// /api/v1 as JSON, and a client for them. The server's side (package web), the command line and the
// dashboard share these types, so they cannot drift apart. It imports the standard library only.
//
// Fields are only ever added. Conventions:
//
//   - Times are RFC 3339 in UTC; a moment that has not come or is not known is absent. Durations are
//     seconds with fractions. Sizes are bytes.
//   - Counts are JSON numbers up to 2^53 and strings beyond it (Count), because JavaScript would
//     change larger numbers silently.
//   - Names, unique ids and arguments may hold any byte (Split, Join): valid UTF-8 travels in the field
//     itself, anything else in the field with "_base64" behind its name, never both. In a path each byte
//     is percent-encoded.
//   - A list is a Page. Its cursor is opaque; a page says how many objects were looked at, so that an
//     empty one can be told from the end.
//   - Errors are problem documents (Problem, RFC 9457). Actions may be repeated without harm.
//
// Files: types.go and cluster.go (what can be read), actions.go (what can be asked for), problem.go,
// values.go (Count, Split), client.go, openapi.go (the description that openapi.json holds).
package api
