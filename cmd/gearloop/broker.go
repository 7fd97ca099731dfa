package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"gearloop/api"
	"gearloop/internal/client"
	"gearloop/internal/monitor"
)

// Where a command finds a broker if no option names one. The first two are also variables of serve, so that a
// command run in the broker's container finds it.
const (
	socketVariable     = "GEARLOOP_ADMIN_SOCKET"
	webVariable        = "GEARLOOP_WEB"
	tokenVariable      = "GEARLOOP_TOKEN"
	defaultAdminSocket = "/run/gearloop/admin.sock"
)

// sourceFlags select the broker that a command looks at.
type sourceFlags struct {
	serverFlags
	socket  string // path of an admin socket
	apiOnly bool   // text commands are not enough
}

// register defines the flags. textToo: text commands, which every Gearman server has, are enough for the
// command.
func (s *sourceFlags) register(f *pflag.FlagSet, textToo bool) {
	f.StringVar(&s.socket, "admin-socket", "", "`path` of the broker's admin socket (default $"+socketVariable+", or "+
		defaultAdminSocket+" if it is there)")
	s.timeout, s.apiOnly = duration(10*time.Second), !textToo
	usage := "`address` of the broker's API: http://HOST:PORT or https://HOST:PORT; the token is in $" + tokenVariable +
		" (default $" + serverVariable + ")"
	if textToo {
		usage = "`address` of a server: http://HOST:PORT or https://HOST:PORT of a Gearloop's API, the token is in $" + tokenVariable +
			"; or the Gearman port of any server, which tells less: HOST, HOST:PORT, :PORT, tls://HOST:PORT or unix:PATH (default $" +
			serverVariable + ", or 127.0.0.1:4730 if there is no admin socket)"
	}
	f.StringArrayVarP(&s.servers, "server", "s", nil, usage)
	s.registerTLS(f)
	f.VarP(&s.timeout, "timeout", "t", "longest `time` to wait for an answer, as 90 (seconds) or 1m30s")
}

// isAPI reports whether an address is an API's.
func isAPI(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}

// apiAddress returns the address of the API, "" to use text commands.
func (s *sourceFlags) apiAddress() (string, error) {
	s.servers = slices.Compact(s.servers) // completion parses the command line more than once
	switch {
	case s.socket != "" && len(s.servers) > 0:
		return "", usageError{errors.New("--admin-socket and --server exclude each other")}
	case len(s.servers) > 1:
		return "", usageError{fmt.Errorf("--server is given %d times: this command looks at one server", len(s.servers))}
	case s.socket != "":
		return "unix:" + s.socket, nil
	case len(s.servers) == 1:
		if isAPI(s.servers[0]) {
			return s.servers[0], nil
		}
		return "", nil
	}
	if server := os.Getenv(serverVariable); isAPI(server) {
		return server, nil
	} else if server != "" {
		return "", nil
	}
	return s.socketHere(), nil
}

// socketHere returns the address of the admin socket of a local broker, "" if there is none.
func (s *sourceFlags) socketHere() string {
	if path := os.Getenv(socketVariable); path != "" {
		return "unix:" + path
	}
	if _, err := os.Stat(defaultAdminSocket); err == nil {
		return "unix:" + defaultAdminSocket
	}
	return ""
}

// withBroker connects to the broker and calls do. ^C ends do's context.
func (s *sourceFlags) withBroker(do func(context.Context, *broker) error) error {
	b, err := s.broker()
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, stop := interruptible()
	defer stop()
	return do(ctx, b)
}

// dial returns a client for an API address.
func (s *sourceFlags) dial(address string) (*broker, error) {
	config, err := s.files.Config("")
	if err != nil {
		return nil, usageError{err}
	}
	c, err := api.NewClient(address, os.Getenv(tokenVariable), config)
	if err != nil {
		return nil, usageError{fmt.Errorf("--server: %w", err)}
	}
	return &broker{Client: c, address: address, limit: time.Duration(s.timeout)}, nil
}

// broker returns the broker for a command that needs the API.
func (s *sourceFlags) broker() (*broker, error) {
	address, err := s.apiAddress()
	if err != nil {
		return nil, err
	}
	if address == "" && len(s.servers) == 1 {
		hint := "write http://HOST:PORT or https://HOST:PORT"
		if path, ok := strings.CutPrefix(s.servers[0], "unix:"); ok {
			hint = "for a unix socket write --admin-socket " + path
		}
		return nil, usageError{fmt.Errorf("--server %q is no address of the API, which this command needs: %s", s.servers[0], hint)}
	}
	if address == "" { // $GEARLOOP_SERVER is for commands for which a Gearman port is enough
		address = s.socketHere()
	}
	if address == "" {
		return nil, usageError{errors.New("no broker found: this command needs the API, at --admin-socket PATH or --server " +
			"http://HOST:PORT; a broker has it with gearloop serve --admin-socket " + defaultAdminSocket)}
	}
	return s.dial(address)
}

// open returns the server to look at, over the API or by text commands.
func (s *sourceFlags) open() (monitor.Source, error) {
	address, err := s.apiAddress()
	if err != nil {
		return nil, err
	}
	if s.apiOnly || address != "" {
		b, err := s.broker()
		if err != nil {
			return nil, err
		}
		return b.source(), nil
	}
	targets, err := s.targets()
	if err != nil {
		return nil, err
	}
	if len(targets) > 1 {
		return nil, usageError{fmt.Errorf("$%s names %d servers: this command looks at one, name it with --server", serverVariable, len(targets))}
	}
	return &monitor.Text{Target: targets[0], Limit: time.Duration(s.timeout)}, nil
}

// broker is a broker reached over its API.
type broker struct {
	*api.Client
	address string
	limit   time.Duration // for an answer
}

// within bounds the time for an answer.
func (b *broker) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.limit)
}

// explained adds to an error what can be done about it. It does not change what the broker itself says.
func (b *broker) explained(err error) error {
	var problem *api.Problem
	var foreign x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return withHint(problem)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %v", b.address, b.limit)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &foreign):
		return fmt.Errorf("%s: %w (see --ssl-ca-file)", b.address, foreign)
	}
	why := client.Reason(err)
	hint := ""
	switch {
	case errors.Is(why, fs.ErrPermission):
		hint = " (whoever may write to the socket may use it: see --unix-mode of gearloop serve)"
	case errors.Is(why, fs.ErrNotExist), errors.Is(why, syscall.ECONNREFUSED):
		hint = " (does the broker run, and with --admin-socket or --web?)"
	}
	return fmt.Errorf("%s: %w%s", b.address, why, hint)
}

// withHint adds to a refusal what a user of the shell can do about it.
func withHint(p *api.Problem) error {
	if p.Status == http.StatusUnauthorized && os.Getenv(tokenVariable) == "" {
		return fmt.Errorf("%w ($%s holds the token of this command)", p, tokenVariable)
	}
	return p
}

// get reads a resource.
func (b *broker) get(ctx context.Context, path string, query url.Values, into any) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.explained(b.Get(ctx, path, query, into))
}

// notThere reports whether an error means that the object does not exist.
func notThere(err error) bool {
	var problem *api.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound
}

// findJobs returns the job with a handle, or those with a unique id, at most one per function. It returns at
// least one.
func (b *broker) findJobs(ctx context.Context, name string) ([]api.Job, error) {
	var job api.Job
	err := b.get(ctx, api.Path("jobs", name), nil, &job)
	if err == nil {
		return []api.Job{job}, nil
	}
	if !notThere(err) {
		return nil, err
	}
	all, _, err := monitor.List[api.Job](ctx, b.source(), "jobs", url.Values{"unique": {name}}, 1000)
	if err == nil && len(all) == 0 {
		err = noJob(name)
	}
	return all, err
}

// noJob is the error for a name that is neither the handle nor the unique id of a job.
type noJob string

func (name noJob) Error() string {
	return fmt.Sprintf("there is no job with the handle or unique id %q: it has ended, or never was", monitor.Printable(string(name)))
}

// source returns the broker as a source of lists.
func (b *broker) source() *monitor.API {
	return &monitor.API{Client: b.Client, Address: b.address, Limit: b.limit, Explain: b.explained}
}

// interruptible returns a context that ends with ^C and SIGTERM.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
