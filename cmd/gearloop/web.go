package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
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
		StoreEngine: p.storeEngine(), StoreDirectory: cmp.Or(p.dataDir, p.shared.shown()), StoreSync: p.sync.String(),
		Options: p.shownOptions,
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
	config := web.Config{
		Log: p.log, Guard: side.guard, Mount: p.webMounts(side), API: side.rest, Traffic: side.traffic, MaxConnections: connections,
	}
	if p.tlsFiles != nil {
		config.TLS = p.tlsFiles.AskingConfig()
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
		Source: side.source, Log: p.log, Version: version, ClientVersion: p.clientVersion(), Dialect: p.dialect.Name,
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
		opened, err := p.listenTCP("--web", inner)
		if err != nil {
			if isOwn(address) {
				err = fmt.Errorf("--web: %w", err)
			}
			return all, err
		}
		kind := "web"
		if secure {
			kind = "web tls"
		}
		for _, l := range opened {
			all = append(all, webListener{p.behindProxies(l), kind})
			at := l.Addr().(*net.TCPAddr)
			if !isOwn(address) {
				if err := p.web.checkAddress(address, at.IP.String(), &p.tls); err != nil {
					return all, usageError{fmt.Errorf("%w (the socket is %s)", err, at)}
				}
			} else if isLoopback(hostOf(inner)) && !at.IP.IsLoopback() {
				return all, usageError{fmt.Errorf("--web %s: that name is %s here, which is not loopback: write 127.0.0.1", address, at.IP)}
			}
		}
	}
	if name, passed := passedName(p.web.socket); passed {
		opened, err := p.takePassed("--admin-socket", name, "unix")
		if err != nil {
			return all, err
		}
		for _, l := range opened {
			all = append(all, webListener{l, "admin"})
		}
	} else if p.web.socket != "" {
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

// shownOptions returns the options in effect and where each was written. Passwords are left out: everyone who may read
// the operator's side sees them.
func (o *options) shownOptions() (all []api.Option) {
	if o.parsed == nil {
		return nil
	}
	o.parsed.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || notFromEnvironment[f.Name] {
			return
		}
		value := f.Value.String()
		if f.Name == "store" {
			value = o.shared.shown()
		}
		all = append(all, api.Option{Name: f.Name, Value: value, Source: sourceOf(f)})
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
		if host := hostOf(strings.TrimPrefix(address, tlsScheme)); isOwn(address) && host != "" && host != httphost.Any {
			names = append(names, host)
		}
	}
	return names
}

// warnOfWeb logs likely mistakes about the operator's side.
func (p *process) warnOfWeb() {
	for _, address := range p.web.listen {
		if isOwn(address) && !strings.HasPrefix(address, tlsScheme) && !isLoopback(hostOf(address)) {
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
