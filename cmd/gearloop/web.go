package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"gearloop/api"
	"gearloop/internal/httphost"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/store"
	"gearloop/web"
	"gearloop/web/action"
	"gearloop/web/guard"
	"gearloop/web/metrics"
	"gearloop/web/pages"
	"gearloop/web/probe"
	"gearloop/web/rest"
)

// webOptions are the options of the operator's side: dashboard, API and metrics.
type webOptions struct {
	listen     []string
	socket     string // path; "" is none
	tokens     string // file; "" is none
	hosts      []string
	anonymous  roleFlag
	readOnly   bool
	functions  int // functions with metrics of their own
	histograms int // of these, the ones with histograms of their own
}

func (o *webOptions) register(f *pflag.FlagSet) {
	f.Var(&webAddresses{&o.listen}, "web",
		"`address` to serve the dashboard, the API, /metrics and probes on, over HTTP: HOST:PORT or :PORT, with tls:// "+
			"before it for TLS with the server's certificate; may be repeated")
	f.Var(&text{at: &o.socket, typ: "path"}, "admin-socket",
		"`path` of a unix socket that serves the same to whoever may open it, with all rights")
	f.Var(&text{at: &o.tokens, typ: "file"}, "web-tokens",
		"`file` that says who may do what at --web: lines NAME ROLE sha256:HEX or NAME ROLE cert; roles are viewer, reader, "+
			"operator and admin")
	f.Var(&o.anonymous, "web-anonymous",
		"`role` of whoever shows no token at --web, or none; without the option operator on a server that has neither "+
			"tokens nor client certificates, else none")
	f.Var(&hostNames{&o.hosts}, "web-host",
		"`name` of this server in requests to --web, beside localhost, the machine's name, names in --web and every IP "+
			"address; * is any; may be repeated")
	f.BoolVar(&o.readOnly, "web-read-only", false, "refuse every change over --web and --admin-socket, whoever asks")
	f.Var(&number[int]{at: &o.functions, max: 100_000}, "metrics-functions",
		"`number` of functions that have metrics of their own; those of all others are summed up as function=\"__other__\"")
	f.Var(&number[int]{at: &o.histograms, max: 10_000}, "metrics-histograms",
		"`number` of functions that have histograms of their own")
}

// on reports whether the operator's side is enabled.
func (o *webOptions) on() bool { return len(o.listen) > 0 || o.socket != "" }

// given returns an option that has a meaning only with the operator's side, "" if none was given.
func (o *webOptions) given() string {
	switch {
	case o.tokens != "":
		return "--web-tokens"
	case o.anonymous.given:
		return "--web-anonymous"
	case len(o.hosts) > 0:
		return "--web-host"
	case o.readOnly:
		return "--web-read-only"
	}
	return ""
}

// hasTLS reports whether an address speaks TLS.
func (o *webOptions) hasTLS() bool {
	return slices.ContainsFunc(o.listen, func(a string) bool { return strings.HasPrefix(a, tlsScheme) })
}

// check rejects options that would admit more than requested. t must be checked before.
func (o *webOptions) check(t *tlsOptions) error {
	if given := o.given(); given != "" && len(o.listen) == 0 && (given != "--web-read-only" || o.socket == "") {
		return fmt.Errorf("%s has a meaning only with --web: add --web ADDRESS, or leave it out", given)
	}
	for _, address := range o.listen {
		inner, secure := strings.CutPrefix(address, tlsScheme)
		guarded := o.tokens != "" || secure && t.verifyClient
		local := isLoopback(hostOf(inner))
		switch {
		case !local && !guarded:
			return fmt.Errorf("--web %s: other machines could do everything there: add --web-tokens FILE, take tls://%s with "+
				"--ssl-verify-client, or listen on 127.0.0.1", address, inner)
		case !local && o.anonymous.Role >= guard.Operator:
			return fmt.Errorf("--web-anonymous %s: other machines could change everything at --web %s: it may be none, viewer or reader "+
				"unless every --web is on loopback", o.anonymous.Role, address)
		case t.verifyClient && !t.allowPlain && !guarded:
			return fmt.Errorf("--ssl-verify-client: --web %s would let in whoever shows neither certificate nor token: write tls://%s, "+
				"add --web-tokens FILE, or add --ssl-allow-plain", address, inner)
		}
	}
	return nil
}

// anonymousRole returns the role of a request without credentials.
func (o *webOptions) anonymousRole(t *tlsOptions) guard.Role {
	switch {
	case o.anonymous.given:
		return o.anonymous.Role
	case o.tokens != "" || t.verifyClient:
		return guard.Nobody
	}
	return guard.Operator
}

// hostOf returns the host of an address with a port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// isLoopback reports whether a host name means only this machine. Other names may do so now and change later.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// webAddresses is a flag with addresses for operators.
type webAddresses struct{ at *[]string }

func (a *webAddresses) String() string { return strings.Join(*a.at, ",") }

func (a *webAddresses) Set(address string) error {
	const form = "it must be HOST:PORT, [IPV6]:PORT or :PORT, with tls:// before it for TLS"
	inner := strings.TrimPrefix(address, tlsScheme)
	switch _, port, err := net.SplitHostPort(inner); {
	case address == "":
		return errEmpty
	case strings.HasPrefix(inner, "unix:"):
		return fmt.Errorf("%q is a unix socket: write --admin-socket PATH", address)
	case err != nil || strings.Contains(inner, "/"):
		return fmt.Errorf("%q is not an address with a port: %s", address, form)
	case portNumber(port) < 0:
		return fmt.Errorf("%q has no port from 0 to 65535: %s", address, form)
	}
	*a.at = append(*a.at, address)
	return nil
}

// portNumber returns the number of a port, -1 if it is invalid.
func portNumber(text string) int {
	n := -1
	if err := (&number[int]{at: &n, max: 65535}).Set(text); err != nil {
		return -1
	}
	return n
}

func (a *webAddresses) Type() string { return repeatable }

func (a *webAddresses) values() []string { return *a.at }

// roleFlag is a role, or none.
type roleFlag struct {
	guard.Role
	given bool
}

func (r *roleFlag) String() string {
	if !r.given {
		return ""
	}
	if r.Role == guard.Nobody {
		return "none"
	}
	return r.Role.String()
}

func (r *roleFlag) Set(name string) error {
	role := guard.Nobody
	if name != "none" {
		var err error
		if role, err = guard.ParseRole(name); err != nil {
			return notOneOf(name, []string{"none", "viewer", "reader", "operator", "admin"})
		}
	}
	r.Role, r.given = role, true
	return nil
}

func (r *roleFlag) Type() string { return "role" }

// webSide is the operator's side of a server.
type webSide struct {
	server *web.Server
	guard  *guard.Guard
	source *view.Source
	pages  *pages.Pages
	rest   *rest.API
	tokens string // file

	actions *action.Actions
	traffic *web.Traffic
}

// webConnections returns the limit of connections: at most an eighth of the process's descriptors.
func webConnections() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return max(4, int(min(limit.Cur/8, web.MaxConnections))), nil
}

// newWeb opens the listeners of the operator's side.
func (p *process) newWeb(connections int) (*webSide, error) {
	var tokens *guard.Tokens
	if p.web.tokens != "" {
		var err error
		if tokens, err = guard.LoadTokens(p.web.tokens); err != nil {
			return nil, usageError{fmt.Errorf("--web-tokens: %w", err)}
		}
	}
	side := &webSide{tokens: p.web.tokens, traffic: &web.Traffic{}}
	side.guard = guard.New(guard.Config{
		Names: httphost.New(p.webNames()), Tokens: tokens, Anonymous: p.web.anonymousRole(&p.tls),
		Certificate: guard.Viewer, ReadOnly: p.web.readOnly,
		Refuse: func(w http.ResponseWriter, r *http.Request, problem *api.Problem) {
			if side.pages != nil && pages.Wanted(r) {
				side.pages.Refuse(w, r, problem)
				return
			}
			web.WriteProblem(w, r, problem)
		},
	})
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	opened, err := p.openWeb()
	if err != nil {
		return nil, err
	}
	var shown []api.Listener
	for _, l := range opened {
		shown = append(shown, api.Listener{Address: l.Addr().String(), Kind: l.kind})
		p.addresses = append(p.addresses, l.name())
	}
	shows := view.Config{
		Sched: p.scheduler, Server: p.server, Version: version, Dialect: p.dialect.Name, Host: host, PID: os.Getpid(),
		Started: p.started, Listeners: shown, MemoryLimit: p.memoryLimit,
		StoreEngine: p.storeEngine(), StoreDirectory: cmp.Or(p.dataDir, p.shared.shown()), StoreSync: p.sync.String(), Options: p.shownOptions,
	}
	if p.tlsFiles != nil {
		shows.Certificates = p.tlsFiles.Expiry
	}
	side.source = view.New(shows)
	p.server.Watch()
	actions := action.New(action.Config{
		Source: side.source, Log: p.log, Dial: p.server.DialContext, Drain: p.server.Drain, Reload: p.reload,
		Save: func() error { return saveSettings(side.source) },
	})
	side.actions = actions
	side.rest = rest.New(rest.Config{Source: side.source, Actions: actions, Guard: side.guard})
	side.pages = pages.New(pages.Config{
		Source: side.source, Guard: side.guard, Host: host, Explain: explainer(side.source), Actions: actions,
	})
	config := web.Config{Log: p.log, Guard: side.guard, Mount: p.webMounts(side), API: side.rest, Traffic: side.traffic, MaxConnections: connections}
	if p.tlsFiles != nil {
		config.TLS = p.tlsFiles.Config()
	}
	side.server = web.New(config)
	for _, l := range opened {
		side.server.Add(l.Listener, l.kind == "web tls")
	}
	return side, nil
}

// saveSettings saves the functions' settings, if the store can.
func saveSettings(source *view.Source) error {
	keeper, ok := source.Keeper().(store.Settings)
	if !ok {
		return nil
	}
	document, err := source.Sched().SaveSettings()
	if err != nil {
		return err
	}
	return keeper.SaveSettings(document)
}

// explainer returns the function with which pages explain why jobs wait.
func explainer(source *view.Source) func(function, handle string) []api.Cause {
	return func(function, handle string) []api.Cause {
		if handle != "" {
			e, _ := source.ExplainJob(handle)
			return e.Causes
		}
		e, _ := source.ExplainFunction(function)
		return e.Causes
	}
}

// webMounts returns the functions that mount the operator's handlers.
func (p *process) webMounts(side *webSide) []func(*http.ServeMux) {
	config := metrics.Config{
		Source: side.source, Log: p.log, Version: version, Told: p.told(), Dialect: p.dialect.Name,
		Actions: side.actions.Done, Traffic: side.traffic, Streams: side.rest.Streams, Reloaded: p.lastReload,
	}
	if p.tlsFiles != nil {
		config.Certificates = p.tlsFiles.Expiry
	}
	measured := metrics.New(config)
	return []func(*http.ServeMux){
		func(mux *http.ServeMux) { probe.Mount(mux, side.source) },
		func(mux *http.ServeMux) { measured.Mount(mux, side.guard) },
		side.pages.Mount,
	}
}

// webListener is a listener of the operator's side, of kind web, web tls or admin.
type webListener struct {
	net.Listener
	kind string
}

// name returns the address for the log.
func (l webListener) name() string {
	switch l.kind {
	case "admin":
		return "unix:" + l.Addr().String()
	case "web tls":
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// openWeb opens the listeners.
func (p *process) openWeb() (all []webListener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	for _, address := range p.web.listen {
		inner, secure := strings.CutPrefix(address, tlsScheme)
		l, err := net.Listen("tcp", inner)
		if err != nil {
			return all, fmt.Errorf("--web: %w", listenError(address, err))
		}
		kind := "web"
		if secure {
			kind = "web tls"
		}
		all = append(all, webListener{l, kind})
		if at := l.Addr().(*net.TCPAddr); isLoopback(hostOf(inner)) && !at.IP.IsLoopback() {
			return all, usageError{fmt.Errorf("--web %s: that name is %s here, which is not loopback: write 127.0.0.1", address, at.IP)}
		}
	}
	if p.web.socket != "" {
		l, err := reactor.ListenUnix(p.web.socket, reactor.DefaultUnixMode, p.account.owner())
		if errors.Is(err, reactor.ErrAddress) {
			return all, usageError{fmt.Errorf("--admin-socket: %w", err)}
		}
		if err != nil {
			return all, fmt.Errorf("--admin-socket: %w", listenError("unix:"+p.web.socket, err))
		}
		all = append(all, webListener{l, "admin"})
	}
	return all, nil
}

// shownOptions returns the options in effect and where each was written.
func (o *options) shownOptions() (all []api.Option) {
	if o.parsed == nil {
		return nil
	}
	o.parsed.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || notFromEnvironment[f.Name] {
			return
		}
		all = append(all, api.Option{Name: f.Name, Value: f.Value.String(), Source: sourceOf(f)})
	})
	return all
}

// webNames returns the accepted values of Host.
func (p *process) webNames() []string {
	names := slices.Clone(p.web.hosts)
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	for _, address := range p.web.listen {
		if host := hostOf(strings.TrimPrefix(address, tlsScheme)); host != "" && host != httphost.Any {
			names = append(names, host)
		}
	}
	return names
}

// warnOfWeb logs likely mistakes about the operator's side.
func (p *process) warnOfWeb() {
	for _, address := range p.web.listen {
		if !strings.HasPrefix(address, tlsScheme) && !isLoopback(hostOf(address)) {
			p.log.Warn("--web: tokens go over the network unencrypted, unless a proxy before it speaks TLS; with tls:// before "+
				"the address this server does", "address", address)
		}
	}
}

// start serves requests before the server is ready, so that they can show its state.
func (w *webSide) start() {
	w.source.Start()
	w.server.Start()
}

// end ends it after the server.
func (w *webSide) end() {
	w.actions.End()
	w.server.End()
	w.source.End()
}

// reload reads the tokens again.
func (w *webSide) reload() error {
	if w.tokens == "" {
		return nil
	}
	tokens, err := guard.LoadTokens(w.tokens)
	if err == nil {
		w.guard.SetTokens(tokens)
	}
	return err
}
