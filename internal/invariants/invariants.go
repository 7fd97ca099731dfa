// Package invariants says whether the program checks its own invariants while it runs. Tests are built with
// the tag "invariants". In a release a check costs nothing: Enabled is a constant, so the compiler removes
// code under "if invariants.Enabled".
package invariants

import "fmt"

// spoiled is what Poison writes: it begins no packet, no TLS record and no text command.
var spoiled = func() (b [4 << 10]byte) {
	for i := range b {
		b[i] = 0xDB
	}
	return b
}()

// Poison overwrites memory that is about to be used for something else, so that a use of an old reference to it
// shows. It does nothing unless Enabled.
func Poison(b []byte) {
	for Enabled && len(b) > 0 {
		b = b[copy(b, spoiled[:]):]
	}
}

// Failf panics with a message about a broken invariant. Call it only if Enabled.
func Failf(format string, a ...any) { panic("invariant broken: " + fmt.Sprintf(format, a...)) }
