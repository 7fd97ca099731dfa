// Package slim gives back the memory of maps whose entries have gone. Go's maps only grow: one that has held a million
// connections keeps room for a million.
package slim

const (
	// share is which part of its largest size a map must have left to be copied, as one of so many: copying what is left
	// takes little beside what it took to remove the others.
	share = 64
	// least is the largest size of a map from which on it is copied: some tens of kilobytes.
	least = 1024
)

// Peak is the largest number of entries that a map has had when one was removed.
type Peak int

// Map must be called after an entry was removed. It returns m, or a copy of it if it once was much larger: then m may
// still be read, but must not be used otherwise.
func Map[K comparable, V any](m map[K]V, peak *Peak) map[K]V {
	n := len(m)
	if n >= int(*peak) {
		*peak = Peak(n + 1)
		return m
	}
	if int(*peak) < least || n > int(*peak)/share {
		return m
	}
	*peak = Peak(n)
	small := make(map[K]V, n)
	for k, v := range m {
		small[k] = v
	}
	return small
}
