package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

// Profiled is a Gearloop server that serves profiles.
type Profiled struct {
	rounds.Server
	Addrs []string // all that it listens on
	url   string   // ends with a slash
}

var profilesAt = regexp.MustCompile(`msg="serving profiles" address=(http\S+)\n`)

// StartProfiled starts Gearloop with a debug address, further arguments and environment variables.
func (h *Host) StartProfiled(env []string, args ...string) (p *Profiled, err error) {
	s, err := h.peer(peers.Gearloop, peers.Options{Args: append(args, "--debug-listen", "127.0.0.1:0"), Env: env})
	if err != nil {
		return nil, err
	}
	p = &Profiled{Server: rounds.Server{Name: "gearloop", Addr: s.Addr, PID: s.PID}, Addrs: s.Addrs}
	// It is logged before the server announces that it listens, but through another pipe.
	for deadline := time.Now().Add(startLimit); ; time.Sleep(time.Millisecond) {
		if found := profilesAt.FindStringSubmatch(s.Stderr()); found != nil {
			p.url = found[1]
			return p, nil
		}
		if !s.Alive() || time.Now().After(deadline) {
			return nil, fmt.Errorf("it does not say where its profiles are: %s", s.Stderr())
		}
	}
}

// Profile returns what the server answers for a path below /debug/pprof/.
func (p *Profiled) Profile(ctx context.Context, path string) (content []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	content, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", path, answer.Status, content)
	}
	return content, err
}
