// Package invariants says whether the program checks its own invariants while it runs. Tests are built with
// the tag "invariants". In a release a check costs nothing: Enabled is a constant, so the compiler removes
// code under "if invariants.Enabled".
package invariants

import "fmt"

// Failf panics with a message about a broken invariant. Call it only if Enabled.
func Failf(format string, a ...any) { panic("invariant broken: " + fmt.Sprintf(format, a...)) }
