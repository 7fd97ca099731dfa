package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"gearloop/web/guard"
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
		"`address` to serve the dashboard, the API, /metrics and probes on, over HTTP: HOST:PORT, :PORT or fd:NAME (of the service "+
			"manager), with tls:// before it for TLS with the server's certificate; may be repeated")
	f.Var(&text{at: &o.socket, typ: "path"}, "admin-socket",
		"`path` of a unix socket that serves the same to whoever may open it, with all rights; or fd:NAME, one of the service manager")
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

// given returns an option that has an effect only with the operator's listener, or "" if none was given.
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
		host := hostOf(strings.TrimPrefix(address, tlsScheme))
		if !isOwn(address) {
			host = "localhost" // the socket will show
		}
		if err := o.checkAddress(address, host, t); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress rejects an address of --web that would admit more than requested. host is where it listens.
func (o *webOptions) checkAddress(address, host string, t *tlsOptions) error {
	inner, secure := strings.CutPrefix(address, tlsScheme)
	guarded := o.tokens != "" || secure && t.verifyClient
	local := isLoopback(host)
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
	const form = "it must be HOST:PORT, [IPV6]:PORT, :PORT or fd:NAME, with tls:// before it for TLS"
	inner := strings.TrimPrefix(address, tlsScheme)
	switch _, port, err := net.SplitHostPort(inner); {
	case address == "":
		return errEmpty
	case !isOwn(address):
		if err := checkPassedName(address); err != nil {
			return err
		}
		*a.at = append(*a.at, address)
		return nil
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
