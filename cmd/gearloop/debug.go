package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"gearloop/internal/httphost"
)

// Sampling rates of contention while profiles are served. With these the server's CPU per job stays within 1
// %; recording everything costs up to 15 % with two loops.
const (
	mutexFraction = 100     // one of so many waits for a lock
	blockRate     = 100_000 // one record per so many ns of waiting
)

// Time limits for a client of the debug address. The duration of a profile is added to the last one.
const (
	debugHeaderTime = 10 * time.Second
	debugIdleTime   = time.Minute
	debugWriteTime  = time.Minute
)

// setDebugListen parses host:port, or a port alone, with or without a colon, which means loopback.
func (o *options) setDebugListen(text string) error {
	if !isOwn(text) && !strings.HasPrefix(text, tlsScheme) {
		o.debugListen = text
		return checkPassedName(text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil && !strings.Contains(text, ":") {
		host, port, err = "", text, nil
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is neither a port from 0 to 65535 nor host:port", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	o.debugListen = net.JoinHostPort(host, port)
	return nil
}

// debugServer serves profiles of this process over HTTP, to everybody who can reach it except web pages.
//
// It does not change the number of Go's threads, so that profiles show the server as it normally runs.
type debugServer struct {
	listener net.Listener
	http     *http.Server
	log      *slog.Logger
	ended    sync.WaitGroup
}

// openDebug opens the listener of --debug-listen.
func (p *process) openDebug() (*debugServer, error) {
	opened, err := p.listenTCP("--debug-listen", p.debugListen)
	if err != nil {
		if isOwn(p.debugListen) {
			err = fmt.Errorf("--debug-listen: %w", err)
		}
		return nil, err
	}
	if len(opened) > 1 {
		return nil, usageError{fmt.Errorf("--debug-listen %s: the service manager has passed %d sockets of that name, and one is served",
			p.debugListen, len(opened))}
	}
	address := p.debugListen
	if !isOwn(address) {
		address = opened[0].Addr().String()
	}
	return newDebugServer(opened[0], address, p.log), nil
}

// newDebugServer returns a server for the listener of an address.
func newDebugServer(l net.Listener, address string, log *slog.Logger) *debugServer {
	// The package also registers itself in http.DefaultServeMux, which is not served.
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/{$}", http.RedirectHandler("/debug/pprof/", http.StatusFound))
	return &debugServer{listener: l, log: log, http: &http.Server{
		Handler: notForPages(address, mux), ReadHeaderTimeout: debugHeaderTime, IdleTimeout: debugIdleTime, WriteTimeout: debugWriteTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// notForPages rejects requests that a web page of another site makes a browser send: under a name that is
// neither localhost nor the one in the address (DNS rebinding), or from another site, which could not read a
// profile but cause one.
func notForPages(address string, next http.Handler) http.Handler {
	host, _, _ := net.SplitHostPort(address)
	names := httphost.New([]string{host})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !names.Ours(r.Host) {
			http.Error(w, "profiles are served under an address, localhost, or the name that --debug-listen gives", http.StatusForbidden)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "a page of another site may not ask for profiles", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// start serves profiles, and enables the recording for them.
func (d *debugServer) start() {
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)
	address := d.listener.Addr().String()
	d.log.Info("serving profiles", "address", "http://"+address+"/debug/pprof/")
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().IsLoopback() {
		d.log.Warn("profiles are served to other machines, to anybody who asks", "address", address)
	}
	d.ended.Go(func() {
		if err := d.http.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("no more profiles are served", "error", err)
		}
	})
}

// end stops the server and running profiles.
func (d *debugServer) end() {
	d.http.Close()
	d.listener.Close() // in case it was not started
	d.ended.Wait()
	runtime.SetMutexProfileFraction(0)
	runtime.SetBlockProfileRate(0)
}
