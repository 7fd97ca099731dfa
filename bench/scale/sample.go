package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"gearloop/bench"
	"gearloop/internal/load"
)

// sample is the memory of a server and of the kernel at one moment, in bytes.
type sample struct {
	resident float64
	rate     float64            // connections per second at the end, including this machine's load
	live     float64            // objects of the Go heap
	stacks   float64            // of goroutines
	heap     map[string]float64 // live bytes by package; exact only if every allocation is recorded
	slabs    map[string]float64 // of the kernel, by kind of object, for all processes; nil if only root may read them
}

// sampleServer makes a server collect its garbage first.
func sampleServer(ctx context.Context, server *bench.Profiled) (s sample, err error) {
	text, err := server.Profile(ctx, "heap?gc=1&debug=1")
	if err != nil {
		return s, err
	}
	if s.heap, err = heapByPackage(text); err != nil {
		return s, err
	}
	for name, at := range map[string]*float64{"HeapAlloc": &s.live, "Stack": &s.stacks} {
		if *at, err = memStat(text, name); err != nil {
			return s, err
		}
	}
	usage, err := load.SampleUsage(server.PID)
	if err != nil {
		return s, err
	}
	s.resident = float64(usage.Resident)
	content, err := os.ReadFile("/proc/slabinfo")
	if errors.Is(err, fs.ErrPermission) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("what the kernel uses: %w", err)
	}
	s.slabs, err = slabs(content)
	return s, err
}

// memStat returns one of the runtime's figures at the end of a heap profile in text form.
func memStat(text []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "# "+name+" = "); ok {
			value, _, _ = strings.Cut(value, " / ")
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the heap profile has no %s", name)
}

// heapByPackage returns the live bytes of a heap profile in text form by the package that allocated them.
// What the runtime allocates, as for a map that grows, counts as its caller's.
func heapByPackage(text []byte) (map[string]float64, error) {
	all := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	size := 0.0 // of a record whose package is not known yet
	for lines.Scan() {
		line := lines.Text()
		if function, ok := frame(line); ok {
			if p := packageOf(function); size > 0 && !isRuntime(p) {
				all[p] += size
				size = 0
			}
			continue
		}
		// objects: bytes [...] @ addresses
		objects, rest, found := strings.Cut(line, ": ")
		if _, err := strconv.Atoi(objects); !found || err != nil {
			continue
		}
		if size > 0 {
			all["runtime"] += size
		}
		bytes, _, _ := strings.Cut(rest, " ")
		var err error
		if size, err = strconv.ParseFloat(bytes, 64); err != nil {
			return nil, fmt.Errorf("heap profile: %q is not understood", line)
		}
	}
	all["runtime"] += size
	return all, lines.Err()
}

// frame returns the function of a line such as "#	0x4711	net.(*conn).Read+0x2a	/usr/net.go:12".
func frame(line string) (function string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "#" || !strings.HasPrefix(fields[1], "0x") {
		return "", false
	}
	function, _, ok = strings.Cut(fields[2], "+0x")
	return function, ok
}

// packageOf returns the path of a function's package.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

func isRuntime(path string) bool {
	return path == "runtime" || strings.HasPrefix(path, "internal/runtime/") || path == "sync" || path == "internal/sync" || path == "slices"
}

// slabs returns the bytes of the kernel's objects by kind, from /proc/slabinfo.
func slabs(content []byte) (map[string]float64, error) {
	all := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[0] == "#" || fields[0] == "slabinfo" {
			continue
		}
		objects, err := strconv.ParseFloat(fields[1], 64)
		size, err2 := strconv.ParseFloat(fields[3], 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("/proc/slabinfo: %q is not understood", lines.Text())
		}
		all[fields[0]] = objects * size
	}
	return all, lines.Err()
}
