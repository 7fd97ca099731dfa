// Command worker offers the functions that package clienttest lists, on the
// worker of g2:
//
//	worker HOST:PORT FUNC[@SECONDS]...
package main

import (
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/appscode/g2/worker"
)

var (
	errFailed = errors.New("failed")
	failures  atomic.Int64
)

var functions = map[string]worker.JobFunc{
	"echo": func(j worker.Job) ([]byte, error) { return j.Data(), nil },
	"reverse": func(j worker.Job) ([]byte, error) {
		b := slices.Clone(j.Data())
		slices.Reverse(b)
		return b, nil
	},
	"digest": func(j worker.Job) ([]byte, error) { return fmt.Appendf(nil, "%x", md5.Sum(j.Data())), nil },
	"note": func(j worker.Job) ([]byte, error) {
		fmt.Printf("note %s\n", j.Data())
		return append([]byte("noted "), j.Data()...), nil
	},
	"hold": func(j worker.Job) ([]byte, error) { return os.ReadFile(string(j.Data())) },
	"steps": func(j worker.Job) ([]byte, error) {
		for n := range 3 {
			j.UpdateStatus(n+1, 3)
		}
		return []byte("stepped"), nil
	},
	"progress": func(j worker.Job) ([]byte, error) {
		j.UpdateStatus(3, 7)
		return os.ReadFile(string(j.Data()))
	},
	"fail": func(j worker.Job) ([]byte, error) { return nil, errFailed },
	// An error with data goes out as WORK_EXCEPTION, without WORK_FAIL.
	"throw": func(j worker.Job) ([]byte, error) { return append([]byte("thrown "), j.Data()...), errFailed },
	"flaky": func(j worker.Job) ([]byte, error) {
		if n, _ := strconv.Atoi(string(j.Data())); failures.Add(1) <= int64(n) {
			return nil, errFailed
		}
		return []byte("worked"), nil
	},
	"chunks": func(j worker.Job) ([]byte, error) {
		for _, text := range []string{"one", "two", "three"} {
			j.SendData([]byte(text))
		}
		return []byte("chunked"), nil
	},
	"careful": func(j worker.Job) ([]byte, error) {
		j.SendWarning(append([]byte("careful "), j.Data()...))
		return []byte("warned"), nil
	},
	"about": func(j worker.Job) ([]byte, error) {
		return fmt.Appendf(nil, "%s %s unique %t", j.Fn(), j.Handle(), j.UniqueId() != ""), nil
	},
}

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(server string, names []string) error {
	// One job at a time: with more, the library writes to its connection from
	// several goroutines without a lock.
	w := worker.New(worker.OneByOne)
	w.ErrorHandler = func(err error) { fmt.Fprintln(os.Stderr, "worker:", err) }
	if err := w.AddServer("tcp", server); err != nil {
		return err
	}
	for _, name := range names {
		name, seconds, _ := strings.Cut(name, "@")
		limit, _ := strconv.Atoi(seconds)
		if err := w.AddFunc(name, functions[name], uint32(limit)); err != nil {
			return err
		}
	}
	if err := w.Ready(); err != nil {
		return err
	}
	w.SetId("go-g2")
	w.Work()
	return nil
}
