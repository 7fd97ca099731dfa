package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
)

// guided are the scenarios whose CPU profiles guide the compiler: every way that a job can take, and echo, which only
// reads and writes.
var guided = []string{"shallow", "deep", "single", "functions", "echo", "64k", "background", "open"}

// guide records a CPU profile under each of the guided scenarios and writes them to o.guide, merged into the one that
// go build -pgo reads.
func guide(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "gearloop-profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := []string{"tool", "pprof", "-proto"}
	for _, name := range guided {
		s, err := scenario(name)
		if err != nil {
			return err
		}
		fmt.Println(s.Title)
		content, err := cpuProfile(ctx, s, o)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
		args = append(args, file)
	}
	merged, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	if merged, err = anonymous(merged); err != nil {
		return err
	}
	return os.WriteFile(o.guide, merged, 0o644)
}

// cpuProfile returns a CPU profile, of o.seconds, of a new server under the load of a scenario.
func cpuProfile(ctx context.Context, s bench.Scenario, o options) ([]byte, error) {
	host, err := bench.NewHost()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	server, err := host.StartProfiled(nil, o.args...)
	if err != nil {
		return nil, err
	}
	cfg := s.Load
	cfg.Addr = server.Addr
	loading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		var err error
		for loading.Err() == nil && err == nil {
			err = oneLoad(loading, cfg, load.Span{Jobs: s.Jobs, Duration: time.Second, PID: server.PID})
		}
		ended <- err
	}()
	content, err := server.Profile(ctx, fmt.Sprint("profile?seconds=", o.seconds))
	stop()
	if failed := <-ended; !errors.Is(failed, context.Canceled) {
		err = errors.Join(err, failed)
	}
	return content, err
}

// oneLoad runs the load once, for as long as span says.
func oneLoad(ctx context.Context, cfg load.Config, span load.Span) error {
	l, err := load.Open(ctx, cfg, span.PID)
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.Run(ctx, span)
	return err
}

// Fields of a profile (github.com/google/pprof/proto/profile.proto).
const (
	stringField = 6 // an entry of the table of all strings
	timeField   = 9 // when it was recorded
)

// anonymous removes from a profile the directories of the source files and the date, which belong to the machine that
// recorded it. The compiler needs the names of functions, and lines within them.
func anonymous(profile []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(unzipped)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		field, err := nextField(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[len(field.whole):]
		switch {
		case field.number == timeField:
			continue
		case field.number == stringField && strings.HasPrefix(string(field.content), "/"):
			base := path.Base(string(field.content))
			field.whole = binary.AppendUvarint(nil, stringField<<3|lengthWire)
			field.whole = append(binary.AppendUvarint(field.whole, uint64(len(base))), base...)
		}
		if _, err := zipped.Write(field.whole); err != nil {
			return nil, err
		}
	}
	err = zipped.Close()
	return out.Bytes(), err
}

// Wire types of the fields of a profile in protocol buffers' encoding.
const (
	numberWire = 0
	lengthWire = 2
)

// protoField is one field of a message in protocol buffers' encoding.
type protoField struct {
	number         uint64
	whole, content []byte // whole: with its tag; content: of a string or message
}

var errProto = errors.New("not a profile that this program understands")

// nextField returns the first field of b.
func nextField(b []byte) (f protoField, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return f, errProto
	}
	value, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return f, errProto
	}
	f.number = tag >> 3
	f.whole = b[:n+m]
	switch left := b[n+m:]; {
	case tag&7 == numberWire:
	case tag&7 != lengthWire || value > uint64(len(left)):
		return f, errProto
	default:
		f.content = left[:value]
		f.whole = b[:n+m+int(value)]
	}
	return f, nil
}
