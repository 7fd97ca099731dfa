package sched

import (
	"container/heap"
	"slices"
	"unsafe"
)

// runs sorts a sequence that arrives in portions without ever taking long: each portion is sorted alone, and
// they are merged as entries are taken out. It is a heap of portions, ordered by their first entries.
type runs[T any] struct {
	compare  func(a, b T) int
	portions [][]T
	buffered int // entries in memory, including taken ones of portions not used up
}

// add inserts a copy of a portion.
func (r *runs[T]) add(portion []T) {
	if len(portion) > 0 {
		portion = slices.Clone(portion)
		slices.SortFunc(portion, r.compare)
		heap.Push(r, portion)
		r.buffered += len(portion)
	}
}

// first returns the next entry; false if none is left.
func (r *runs[T]) first() (next T, ok bool) {
	if len(r.portions) == 0 {
		return next, false
	}
	return r.portions[0][0], true
}

// drop removes the next entry, which must exist.
func (r *runs[T]) drop() {
	if front := &r.portions[0]; len(*front) > 1 {
		*front = (*front)[1:]
		heap.Fix(r, 0)
	} else {
		heap.Pop(r)
	}
	if len(r.portions) == 0 {
		r.buffered = 0
	}
}

// size returns its memory in bytes, apart from the allocator's overhead.
func (r *runs[T]) size() int {
	var one T
	return r.buffered*int(unsafe.Sizeof(one)) + cap(r.portions)*int(unsafe.Sizeof(r.portions[0]))
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (r *runs[T]) Len() int           { return len(r.portions) }
func (r *runs[T]) Less(i, k int) bool { return r.compare(r.portions[i][0], r.portions[k][0]) < 0 }
func (r *runs[T]) Swap(i, k int)      { r.portions[i], r.portions[k] = r.portions[k], r.portions[i] }
func (r *runs[T]) Push(portion any)   { r.portions = append(r.portions, portion.([]T)) }
func (r *runs[T]) Pop() any {
	last := len(r.portions) - 1
	r.portions[last] = nil
	r.portions = r.portions[:last]
	return nil
}
