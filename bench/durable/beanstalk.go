package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gearloop/internal/load"
)

// beanstalks measures beanstalkd: with a sync for each write, and as it is by default, one every 50 ms.
func beanstalks(ctx context.Context, dir string, clients, depth, jobs int) error {
	if !installed("beanstalkd", "beanstalkd") {
		return nil
	}
	for _, every := range []string{"0", "50"} {
		n := jobs
		if every == "0" {
			n = min(jobs, 5000)
		}
		if err := beanstalk(ctx, dir, every, clients, depth, n); err != nil {
			return fmt.Errorf("beanstalkd -f%s: %w", every, err)
		}
	}
	fmt.Println()
	return nil
}

func beanstalk(ctx context.Context, dir, every string, clients, depth, jobs int) error {
	dir, err := os.MkdirTemp(dir, "beanstalkd-")
	if err != nil {
		return err
	}
	// It does not support port 0.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := free.Addr().(*net.TCPAddr)
	free.Close()
	cmd := exec.CommandContext(ctx, "beanstalkd", "-l", "127.0.0.1", "-p", strconv.Itoa(addr.Port), "-b", filepath.Clean(dir), "-f"+every)
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for end := time.Now().Add(5 * time.Second); ; {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	before, err := load.SampleUsage(cmd.Process.Pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	times, err := together(clients, func(int) ([]time.Duration, error) { return put(addr.String(), depth, jobs/clients) })
	if err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := load.SampleUsage(cmd.Process.Pid)
	if err != nil {
		return err
	}
	begin = time.Now()
	const workers = 8
	done, err := together(workers, func(n int) ([]time.Duration, error) {
		return drain(addr.String(), jobs/clients*clients/workers)
	})
	if err != nil {
		return err
	}
	drained := time.Since(begin)
	slices.Sort(times)
	fmt.Printf("beanstalkd -f%s, %d x %d in flight, %d jobs: %.0f jobs/s, p50 %v, p99 %v, %.2f us of its CPU a job; drained %.0f/s\n",
		every, clients, depth, len(times), float64(len(times))/took.Seconds(), times[len(times)/2].Round(time.Microsecond),
		times[len(times)*99/100].Round(time.Microsecond), float64((after.CPU-before.CPU).Nanoseconds())/1e3/float64(len(times)),
		float64(len(done))/drained.Seconds())
	return nil
}

// together runs clients at the same time and returns all their times.
func together(clients int, client func(n int) ([]time.Duration, error)) (all []time.Duration, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			times, failed := client(n)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			if err == nil {
				err = failed
			}
		})
	}
	group.Wait()
	return all, err
}

// put submits jobs of 64 bytes, depth at a time, and returns how long each took.
func put(addr string, depth, jobs int) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	job := "put 1024 0 60 64\r\n" + strings.Repeat("x", 64) + "\r\n"
	in, out := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
	var began, times []time.Duration
	begin := time.Now()
	for len(times) < jobs {
		for len(began) < jobs && len(began)-len(times) < depth {
			began = append(began, time.Since(begin))
			if _, err := out.WriteString(job); err != nil {
				return nil, err
			}
		}
		if err := out.Flush(); err != nil {
			return nil, err
		}
		// Then whatever else has come.
		for first := true; len(times) < len(began) && (first || in.Buffered() > 0); first = false {
			line, err := in.ReadString('\n')
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(line, "INSERTED ") {
				return nil, fmt.Errorf("put: %q", line)
			}
			times = append(times, time.Since(begin)-began[len(times)])
		}
	}
	return times, nil
}

// drain does jobs, one at a time.
func drain(addr string, jobs int) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var times []time.Duration
	for range jobs {
		begin := time.Now()
		if _, err := conn.Write([]byte("reserve\r\n")); err != nil {
			return nil, err
		}
		var id, n int
		if _, err := fmt.Fscanf(in, "RESERVED %d %d\r\n", &id, &n); err != nil {
			return nil, fmt.Errorf("reserve: %w", err)
		}
		if _, err := in.Discard(n + 2); err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(conn, "delete %d\r\n", id); err != nil {
			return nil, err
		}
		if line, err := in.ReadString('\n'); err != nil || line != "DELETED\r\n" {
			return nil, fmt.Errorf("delete: %q, %v", line, err)
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}
