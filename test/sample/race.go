//go:build race

package sample

// Only reports whether tests do only a sample.
const Only = true
