package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"gearloop/internal/tlsfiles"
)

// tlsOptions are the options for TLS: names of PEM files, "" for the default.
type tlsOptions struct {
	on                   bool // every address speaks TLS, not only those that are written tls://...
	ca, certificate, key string
	verifyClient         bool
}

// Where the C server looks for its files.
const (
	defaultCA          = "/etc/ssl/certs/gearmand-ca.pem"
	defaultCertificate = "/etc/ssl/certs/gearmand.pem"
	defaultKey         = "/etc/ssl/certs/gearmand.key"
)

func (t *tlsOptions) register(f *pflag.FlagSet) {
	f.BoolVar(&t.on, "ssl", false, "speak TLS on every address over TCP; without it on those that are written tls://ADDRESS")
	f.StringVar(&t.ca, "ssl-ca-file", "",
		"`file` with the certificates of authorities that clients' certificates come from (default "+defaultCA+")")
	f.StringVar(&t.certificate, "ssl-certificate", "",
		"`file` with the server's certificate (default "+defaultCertificate+")")
	f.StringVar(&t.key, "ssl-key", "", "`file` with the key of that certificate (default "+defaultKey+")")
	f.BoolVar(&t.verifyClient, "ssl-verify-client", false, "let only clients in that show a certificate")
}

// fromGearmandEnvironment takes the C server's variables over, which count for more than the options.
func (t *tlsOptions) fromGearmandEnvironment() {
	for name, file := range map[string]*string{
		"GEARMAND_CA_CERTIFICATE": &t.ca, "GEARMAND_SERVER_PEM": &t.certificate, "GEARMAND_SERVER_KEY": &t.key,
	} {
		*file = cmp.Or(os.Getenv(name), *file)
	}
}

// secure returns the addresses with tls:// before each that is to speak TLS.
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

// tlsScheme stands before addresses that speak TLS.
const tlsScheme = "tls://"

// open reads the files, if one of the addresses needs them; else it returns nil.
func (t *tlsOptions) open(addresses []string) (*tlsfiles.Source, error) {
	needed := false
	for _, a := range addresses {
		needed = needed || strings.HasPrefix(a, tlsScheme)
	}
	if !needed {
		return nil, nil
	}
	files := tlsfiles.Files{
		Certificate: cmp.Or(t.certificate, defaultCertificate), Key: cmp.Or(t.key, defaultKey),
		CA: t.ca, RequireClient: t.verifyClient,
	}
	// Nobody asked for the default; it is taken if it is there.
	if _, err := os.Stat(defaultCA); files.CA == "" && (t.verifyClient || !errors.Is(err, fs.ErrNotExist)) {
		files.CA = defaultCA
	}
	return tlsfiles.Open(files)
}
