package peers

import (
	"sync"
	"testing"
)

// No port is given twice, however many ask at once: the servers of one test get theirs before the first of them listens.
func TestFreePort(t *testing.T) {
	const askers, each = 4, 100 // each port takes a descriptor
	var asking sync.WaitGroup
	var got [askers][]int
	for i := range askers {
		asking.Go(func() {
			for range each {
				port, err := FreePort()
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = append(got[i], port)
			}
		})
	}
	asking.Wait()
	seen := map[int]bool{}
	for _, ports := range got {
		for _, port := range ports {
			if seen[port] {
				t.Errorf("port %d is given twice", port)
			}
			seen[port] = true
		}
	}
}
