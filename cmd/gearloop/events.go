package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// Limits of following events.
const (
	// silence is how long a stream may be silent. The broker sends something every 15 seconds.
	silence = 45 * time.Second
	// maxPause is the longest pause between attempts to reconnect.
	maxPause = 10 * time.Second
	// headEvery is the number of lines after which a terminal shows the column heads again.
	headEvery = 20
	// maxEvent is the longest line of a stream, in bytes.
	maxEvent = 16 << 20
)

// events is a running gearloop events.
type events struct {
	sourceFlags
	json  bool
	topic string
	most  int // number of events; 0 = no limit

	out, errs io.Writer
	shown     int
	before    *api.Server
}

func eventsCommand() *cobra.Command {
	e := &events{}
	cmd := &cobra.Command{
		Use:   "events [flags]",
		Short: "Follow what happens: a line for each second",
		Long: `Follow what happens: a line each second with the sums of the broker, and what it sends beside them. When the
connection is lost the command connects again, until ^C.`,
		Example: `  gearloop events
  gearloop events --json | jq .data.totals.waiting`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.most < 0 {
				return usageError{fmt.Errorf("--count is %d: it must not be negative", e.most)}
			}
			e.out, e.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return e.withBroker(e.follow)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&e.json, "json", false, `write a JSON object on a line for each event: {"event":…,"data":…}`)
	f.StringVar(&e.topic, "topic", "", "only events of this `topic`, such as totals")
	f.IntVarP(&e.most, "count", "n", 0, "`number` of events after which to leave; 0 is until ^C")
	e.register(f, false)
	return cmd
}

// errEnough ends the stream after --count events.
var errEnough = errors.New("enough events")

// follow reads streams one after the other, until ctx ends or it has enough events. It is an error if the
// first stream cannot be opened, or if one is refused.
func (e *events) follow(ctx context.Context, b *broker) error {
	connected, pause := false, time.Second
	for {
		err := e.stream(ctx, b, func() {
			if connected {
				fmt.Fprintf(e.errs, "%s: connected again\n", programName)
			}
			connected, pause = true, time.Second
		})
		var problem *api.Problem
		switch {
		case ctx.Err() != nil, err == errEnough:
			return nil
		case !connected, errors.As(err, &problem) && problem.Status < http.StatusInternalServerError && problem.Status != http.StatusTooManyRequests,
			errors.As(err, new(outputError)):
			return err
		}
		if pause == time.Second {
			fmt.Fprintf(e.errs, "%s: %v; connecting again\n", programName, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(pause*2, maxPause)
	}
}

// outputError is a failure to write output.
type outputError struct{ error }

// stream reads events until the stream ends. It calls connected when the stream has begun.
func (e *events) stream(ctx context.Context, b *broker, connected func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	query := url.Values{}
	if e.topic != "" {
		query.Set("topic", e.topic)
	}
	guard := time.AfterFunc(b.limit, cancel)
	defer guard.Stop()
	body, err := b.Stream(ctx, "events", query, "text/event-stream")
	if err != nil {
		return b.explained(err)
	}
	defer body.Close()
	connected()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	var kind string
	var data []string
	for guard.Reset(silence); lines.Scan(); guard.Reset(silence) {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && len(data) > 0:
			if err := e.event(kind, strings.Join(data, "\n")); err != nil {
				return err
			}
			kind, data = "", nil
		case name == "event":
			kind = value
		case name == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return b.explained(err)
	}
	return fmt.Errorf("%s: the stream has ended", b.address)
}

// event writes an event.
func (e *events) event(kind, data string) error {
	if err := e.write(kind, data); err != nil {
		return outputError{err}
	}
	if e.shown++; e.shown == e.most {
		return errEnough
	}
	return nil
}

func (e *events) write(kind, data string) error {
	if e.json {
		if !json.Valid([]byte(data)) {
			b, _ := json.Marshal(data)
			data = string(b)
		}
		return json.NewEncoder(e.out).Encode(struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		}{kind, json.RawMessage(data)})
	}
	var s api.Server
	if kind != "totals" || json.Unmarshal([]byte(data), &s) != nil {
		_, err := fmt.Fprintf(e.out, "%s  %s %s\n", time.Now().Format(time.TimeOnly), monitor.Printable(kind), monitor.Printable(data))
		return err
	}
	heads := e.shown == 0 || isTerminal(e.out) && e.shown%headEvery == 0
	err := monitor.Totals(e.out, e.before, &s, heads)
	e.before = &s
	return err
}
