// Profile puts load on a Gearloop server and keeps profiles of it: where processor time goes, what locks and
// what else is waited for, and what lies in the heap.
//
//	make profile
//	go run ./bench/profile -scenario 64k -seconds 10 -dir profiles -- --loops 2
//	go run ./bench/profile -guide cmd/gearloop/gearloop.pgo -- --loops 1
//
// What stands behind the options are options of the server. The load runs in this process and shares the
// machine with the server. Of each profile the top is printed; the files are for go tool pprof.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
)

// kinds are the profiles that are taken, each with how go tool pprof shows it. All but the heap's are of the
// time of the load alone.
var kinds = []struct {
	name, path string
	show       []string
}{
	{"cpu", "profile?seconds=%d", nil},
	{"mutex", "mutex?seconds=%d", []string{"-sample_index=delay"}},
	{"block", "block?seconds=%d", []string{"-sample_index=delay"}},
	{"heap", "heap?gc=1", []string{"-sample_index=inuse_space"}},
}

// heapRate is the sampling rate of the heap profile, in bytes.
const heapRate = "32768"

type options struct {
	scenario string
	seconds  int
	dir      string
	lines    int
	guide    string
	args     []string // of the server
}

func main() {
	var o options
	flag.StringVar(&o.scenario, "scenario", "deep", "`name` of the load")
	flag.IntVar(&o.seconds, "seconds", 5, "how `long` it is looked at")
	flag.StringVar(&o.dir, "dir", "profiles", "`directory` for the profiles")
	flag.IntVar(&o.lines, "lines", 15, "how `many` functions are shown of each")
	flag.StringVar(&o.guide, "guide", "", "only record a CPU profile of several scenarios for go build -pgo, in this `file`")
	flag.Parse()
	o.args = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	work := profile
	if o.guide != "" {
		work = guide
	}
	if err := work(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func profile(ctx context.Context, o options) error {
	s, err := scenario(o.scenario)
	if err != nil {
		return err
	}
	if o.seconds < 1 {
		return errors.New("-seconds must be at least 1")
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	host, err := bench.NewHost()
	if err != nil {
		return err
	}
	defer host.Close()
	server, err := host.StartProfiled([]string{"GODEBUG=memprofilerate=" + heapRate}, o.args...)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d s\n", s.Title, o.seconds)
	if err := o.record(ctx, server, s.Load); err != nil {
		return err
	}
	for _, k := range kinds {
		args := append([]string{"tool", "pprof", "-top", fmt.Sprint("-nodecount=", o.lines)}, k.show...)
		top := exec.CommandContext(ctx, "go", append(args, o.file(k.name))...)
		top.Stderr = os.Stderr
		out, err := top.Output()
		if err != nil {
			return fmt.Errorf("go tool pprof: %w", err)
		}
		fmt.Printf("\n== %s: %s\n%s", k.name, o.file(k.name), out)
	}
	return nil
}

// scenario returns a scenario by its name.
func scenario(name string) (s bench.Scenario, err error) {
	all := bench.Scenarios()
	at := slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == name })
	if at < 0 {
		return s, fmt.Errorf("no scenario is called %q (see go run ./bench/compare -list)", name)
	}
	return all[at], nil
}

func (o *options) file(kind string) string { return filepath.Join(o.dir, o.scenario+"."+kind+".pprof") }

// record runs the load, and takes all profiles meanwhile.
func (o *options) record(ctx context.Context, server *bench.Profiled, cfg load.Config) error {
	cfg.Addr = server.Addr
	l, err := load.Open(ctx, cfg, server.PID)
	if err != nil {
		return err
	}
	defer l.Close()
	const around = time.Second // the load begins before the profiles and ends after them
	ran := make(chan error, 1)
	go func() {
		res, err := l.Run(ctx, load.Span{Duration: time.Duration(o.seconds)*time.Second + around, Warmup: around, PID: server.PID})
		if err == nil {
			fmt.Printf("%.0f jobs/s, %.1f µs of the server's CPU each\n", rounds.PerSecond(res.Part), rounds.PerJob(res.Server, res.Part))
		}
		ran <- err
	}()
	time.Sleep(around)
	recorded := make(chan error, len(kinds))
	for _, k := range kinds {
		go func() {
			path := k.path
			if strings.Contains(path, "%d") {
				path = fmt.Sprintf(path, o.seconds)
			}
			content, err := server.Profile(ctx, path)
			if err == nil {
				err = os.WriteFile(o.file(k.name), content, 0o644)
			}
			recorded <- err
		}()
	}
	for range kinds {
		err = errors.Join(err, <-recorded)
	}
	return errors.Join(err, <-ran)
}
