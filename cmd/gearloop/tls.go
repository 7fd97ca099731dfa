package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/internal/tlsfiles"
)

// tlsOptions are the options for TLS: names of PEM files, "" = default.
type tlsOptions struct {
	on                   bool // every address speaks TLS, not only tls://...
	ca, certificate, key string
	verifyClient         bool
	allowPlain           bool // others may connect without TLS beside verified clients
	names                bool // certificates determine rights by name
	roles                bool // and roles at --web

	// The C server's variables, which override the options. Other programs use them as well.
	caVariable, certificateVariable, keyVariable string
}

// Default paths of the C server's files.
const (
	defaultCA          = "/etc/ssl/certs/gearmand-ca.pem"
	defaultCertificate = "/etc/ssl/certs/gearmand.pem"
	defaultKey         = "/etc/ssl/certs/gearmand.key"
)

func (t *tlsOptions) register(f *pflag.FlagSet) {
	f.BoolVar(&t.on, "ssl", false, "speak TLS on every address over TCP; without it on those that are written tls://ADDRESS")
	f.Var(&text{at: &t.ca, typ: "file"}, "ssl-ca-file",
		"`file` with the certificates of authorities that clients' certificates come from (default "+defaultCA+")")
	f.Var(&text{at: &t.certificate, typ: "file"}, "ssl-certificate",
		"`file` with the server's certificate (default "+defaultCertificate+")")
	f.Var(&text{at: &t.key, typ: "file"}, "ssl-key", "`file` with the key of that certificate (default "+defaultKey+")")
	f.BoolVar(&t.verifyClient, "ssl-verify-client", false,
		"accept only clients that show a certificate; then every address over TCP has to speak TLS")
	f.BoolVar(&t.allowPlain, "ssl-allow-plain", false,
		"with --ssl-verify-client: accept clients without a certificate at addresses without TLS, HTTP included")
}

// fromGearmandEnvironment reads the C server's variables.
func (t *tlsOptions) fromGearmandEnvironment() {
	t.caVariable = os.Getenv("GEARMAND_CA_CERTIFICATE")
	t.certificateVariable = os.Getenv("GEARMAND_SERVER_PEM")
	t.keyVariable = os.Getenv("GEARMAND_SERVER_KEY")
}

// check rejects options that promise protection which the server would not have. listen are the addresses to
// listen on; web says that --web uses TLS, http that there is HTTP as well.
func (t *tlsOptions) check(listen []string, web, http bool) error {
	secure, plain := 0, "" // number of TLS addresses, and one over TCP without TLS
	for _, a := range t.secure(listen) {
		switch {
		case strings.HasPrefix(a, tlsScheme):
			secure++
		case !strings.HasPrefix(a, "unix:"):
			plain = a
		}
	}
	given := t.given()
	switch {
	case secure > 0 || given == "" || web && !t.on:
	case t.on:
		return errors.New("--ssl: every --listen is a unix socket, which does not speak TLS: leave --ssl out, or add an address")
	default:
		return fmt.Errorf("%s has a meaning only with TLS, and no address speaks it: add --ssl, or write --listen tls://ADDRESS", given)
	}
	const consent = "or add --ssl-allow-plain to accept clients without a certificate there"
	switch {
	case t.allowPlain && !t.verifyClient:
		return errors.New("--ssl-allow-plain has a meaning only with --ssl-verify-client")
	case !t.verifyClient || t.allowPlain:
	case plain != "":
		return fmt.Errorf("--ssl-verify-client: the address %s has no TLS: write tls://%s, %s", plain, plain, consent)
	case http:
		return fmt.Errorf("--ssl-verify-client: --protocol http has no TLS: leave it out, %s", consent)
	}
	return nil
}

// given returns an option that has an effect only with TLS, or "" if none was given.
func (t *tlsOptions) given() string {
	for _, o := range []struct {
		name  string
		given bool
	}{
		{"--ssl-verify-client", t.verifyClient}, {"--ssl-ca-file", t.ca != ""}, {"--ssl-certificate", t.certificate != ""},
		{"--ssl-key", t.key != ""}, {"--ssl-allow-plain", t.allowPlain}, {"--ssl", t.on},
	} {
		if o.given {
			return o.name
		}
	}
	return ""
}

// secure adds tls:// to each address that must use TLS.
func (t *tlsOptions) secure(addresses []string) []string {
	if !t.on {
		return addresses
	}
	var all []string
	for _, a := range addresses {
		if !strings.HasPrefix(a, tlsScheme) && !strings.HasPrefix(a, "unix:") {
			a = tlsScheme + a
		}
		all = append(all, a)
	}
	return all
}

// tlsScheme begins addresses that use TLS.
const tlsScheme = "tls://"

// open reads the files, if an address needs them; otherwise it returns nil.
func (t *tlsOptions) open(addresses []string) (*tlsfiles.Source, error) {
	needed := false
	for _, a := range addresses {
		needed = needed || strings.HasPrefix(a, tlsScheme)
	}
	if !needed {
		return nil, nil
	}
	return tlsfiles.Open(t.files())
}

// files returns the names of the files in effect.
func (t *tlsOptions) files() tlsfiles.Files {
	f := tlsfiles.Files{
		Certificate: cmp.Or(t.certificateVariable, t.certificate, defaultCertificate),
		Key:         cmp.Or(t.keyVariable, t.key, defaultKey),
		CA:          cmp.Or(t.caVariable, t.ca), RequireClient: t.verifyClient,
		AskClient: t.names && t.asksClients(), AskOperators: t.roles && t.asksClients(),
	}
	if f.CA == "" && t.verifyClient {
		f.CA = defaultCA
	}
	return f
}

// asksClients reports whether clients are asked for a certificate that identifies them.
func (t *tlsOptions) asksClients() bool { return t.verifyClient || cmp.Or(t.caVariable, t.ca) != "" }

// warnOfTLS logs likely mistakes about TLS.
func (p *process) warnOfTLS() {
	if p.tlsFiles == nil {
		return
	}
	for _, w := range append(p.tlsFiles.Warnings(time.Now()), p.tlsFiles.Unreadable()...) {
		p.log.Warn("TLS: " + w)
	}
	if p.tls.on && p.gateway != nil {
		p.log.Warn("TLS: HTTP is not encrypted, whatever --ssl says", "addresses", p.gateway.addresses())
	}
}
