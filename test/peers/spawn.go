package peers

import (
	"os/exec"
	"runtime"
	"sync"
)

var (
	spawnOnce sync.Once
	spawnReqs chan func()
)

// spawn starts cmd from a thread that lives as long as the process. Linux sends the parent-death signal when
// the thread that forked ends, and Go ends threads whose goroutine returns while locked to them, as event
// loops do.
func spawn(cmd *exec.Cmd) error {
	spawnOnce.Do(func() {
		spawnReqs = make(chan func())
		go spawnLoop()
	})
	result := make(chan error, 1)
	spawnReqs <- func() { result <- cmd.Start() }
	return <-result
}

func spawnLoop() {
	runtime.LockOSThread()
	for f := range spawnReqs {
		f()
	}
}
