//go:build unfenced

package postgres

// fenceLock is left out for a control: with it the tests of the whole cluster have to find losses
// (test/clustertest). No product is built so.
const fenceLock = ``
