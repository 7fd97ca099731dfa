// Package invariants says whether this program checks, while it runs, what must always hold. The tests build
// with the tag "invariants"; a release does not, and then a check costs nothing: Enabled is a constant, so
// the compiler leaves out what stands under "if invariants.Enabled".
package invariants

import "fmt"

// Failf panics with what does not hold. Call it under Enabled only.
func Failf(format string, a ...any) { panic("invariant broken: " + fmt.Sprintf(format, a...)) }
