// Package heapgoal lets the collector wait while a queue grows.
//
// Go collects when the heap has doubled since the last collection. A queue that grows makes no garbage, so
// each of these collections marks all queued jobs and frees nothing: a third of the processor time of a
// submission. The scheduler knows how much memory its jobs take. So the next collection is due when the heap
// is twice what is alive now, and not twice what was alive at the last collection.
//
// The bound is Go's own with GOGC=100: garbage takes at most as much as what was alive, or a few megabytes.
// GOMEMLIMIT holds as before.
package heapgoal
