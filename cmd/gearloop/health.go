package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gearloop/internal/client"
)

const healthHelp = `Ask whether a broker lives, or with --ready whether it is ready for traffic. A process that is not alive
should be ended and started anew; neither a full disk nor a full queue is a reason for that. A broker
that still loads its store, or that drains, is not ready.

The broker is asked by its API, /healthz or /readyz, which need no token. One that has none is asked for
its version at its Gearman port. In a container the command finds the broker by the variables of
gearloop serve: GEARLOOP_ADMIN_SOCKET, GEARLOOP_WEB (without TLS) and GEARLOOP_PORT.

Exit status: 0 yes, 1 no (or no answer), 2 for a mistake in the options.`

// health is the request of gearloop health and the form of its output.
type health struct {
	sourceFlags
	ready   bool
	require []string
	json    bool
}

func healthCommand() *cobra.Command {
	h := &health{}
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Report by the exit status whether the broker is alive and ready",
		Long:  healthHelp,
		Example: `  gearloop health
  gearloop health --ready --require store
  gearloop health --server http://127.0.0.1:4780 --timeout 3`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(h.require) > 0 && !h.ready {
				return usageError{errors.New("--require has a meaning only with --ready")}
			}
			ctx, stop := interruptible()
			defer stop()
			return h.run(ctx, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&h.ready, "ready", false, "ask whether it is ready for traffic")
	f.StringArrayVar(&h.require, "require", nil, "`name` of a condition that has to hold, too, such as store; repeatable; with --ready")
	f.BoolVar(&h.json, "json", false, "write a JSON object")
	h.register(f, true)
	return cmd
}

func (h *health) run(ctx context.Context, out io.Writer) error {
	address, err := h.address()
	if err != nil {
		return err
	}
	if address == "" {
		return h.askPort(ctx, out)
	}
	b, err := h.dial(address)
	if err != nil {
		return err
	}
	defer b.Close()
	name := "healthz"
	if h.ready {
		name = "readyz"
	}
	limited, cancel := b.within(ctx)
	defer cancel()
	text, well, err := b.Probe(limited, name, url.Values{"require": h.require})
	if err != nil {
		return b.explained(err)
	}
	return h.report(out, address, text, well)
}

// address returns the address of the API. Unlike that of other commands it may come from GEARLOOP_WEB.
func (h *health) address() (string, error) {
	address, err := h.apiAddress()
	if err != nil || address != "" || len(h.servers) > 0 || os.Getenv(serverVariable) != "" {
		return address, err
	}
	first, _, _ := strings.Cut(os.Getenv(webVariable), ",")
	host, port, err := net.SplitHostPort(first)
	if err != nil || strings.HasPrefix(first, tlsScheme) {
		return "", nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// healthAnswer is the form of --json.
type healthAnswer struct {
	Status     string            `json:"status"` // the first line of the answer: ok, degraded, not ready, or an error
	Well       bool              `json:"well"`
	Conditions []healthCondition `json:"conditions,omitempty"`
}

type healthCondition struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// parseHealth parses the answer of a probe: a word, then a line for each condition with + or - before it.
func parseHealth(text string, well bool) healthAnswer {
	first, rest, _ := strings.Cut(text, "\n")
	a := healthAnswer{Status: first, Well: well}
	for line := range strings.Lines(rest) {
		name, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if ok && name != "" {
			a.Conditions = append(a.Conditions, healthCondition{Name: name[1:], OK: name[0] == '+', Text: what})
		}
	}
	return a
}

// tell writes an answer. One that is not well is the error, too.
func (h *health) report(out io.Writer, address, text string, well bool) error {
	a := parseHealth(text, well)
	if h.json {
		if err := json.NewEncoder(out).Encode(&a); err != nil {
			return err
		}
		if !well {
			return exitStatus(exitFailure)
		}
		return nil
	}
	if well {
		_, err := io.WriteString(out, text)
		return err
	}
	var bad []string
	for _, c := range a.Conditions {
		if !c.OK {
			bad = append(bad, c.Name+": "+c.Text)
		}
	}
	if len(bad) == 0 {
		return fmt.Errorf("%s: %s", address, a.Status)
	}
	return fmt.Errorf("%s: %s (%s)", address, a.Status, strings.Join(bad, "; "))
}

// askPort asks a Gearman port for its version.
func (h *health) askPort(ctx context.Context, out io.Writer) error {
	if len(h.require) > 0 {
		return usageError{errors.New("--require needs the API: name it with --admin-socket PATH or --server http://HOST:PORT")}
	}
	port := os.Getenv(variableOf("port"))
	if _, err := strconv.ParseUint(port, 10, 16); err == nil && len(h.servers) == 0 && os.Getenv(serverVariable) == "" {
		h.servers = []string{":" + port}
	}
	targets, err := h.targets()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.timeout))
	defer cancel()
	c, err := client.Dial(ctx, targets[0])
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	version, err := c.Line("version")
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("server %v: no answer within %v", targets[0], time.Duration(h.timeout))
	case err != nil:
		return fmt.Errorf("server %v: %w", targets[0], client.Reason(err))
	}

	if strings.HasPrefix(version, "ERR ") || strings.HasPrefix(version, "HTTP/") {
		return fmt.Errorf("server %v is no Gearman server: it answers %q", targets[0], version)
	}
	return h.report(out, targets[0].String(), "ok\n", true)
}
