//go:build !unfenced

package postgres

// fenceLock keeps a broker from being taken over during a batch. It also gives a batch that finds everything stored already
// something to commit, so that this waits for the standbys.
const fenceLock = ` for share`
