// Package collect gathers all rows of a walk through the scheduler, for tests.
package collect

// Rows returns every row of a walk.
func Rows[T any](walk interface{ Next([]T) ([]T, bool) }) (found []T) {
	for more := true; more; {
		found, more = walk.Next(found)
	}
	return found
}
