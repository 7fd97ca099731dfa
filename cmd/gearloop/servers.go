package main

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/internal/client"
)

// serverFlags select the Gearman servers of a command.
type serverFlags struct {
	servers []string
	files   client.TLSFiles
	timeout duration // for connecting, and for an answer
}

// serverVariable is the environment variable for --server.
const serverVariable = "GEARLOOP_SERVER"

func (s *serverFlags) register(f *pflag.FlagSet, what string) {
	s.timeout = duration(10 * time.Second)
	f.StringArrayVarP(&s.servers, "server", "s", nil,
		"`address` of a Gearman server: host, host:port, :port, tls://host:port or unix:PATH; "+what+
			" (default $"+serverVariable+", or 127.0.0.1:4730)")
	s.registerTLS(f)
}

func (s *serverFlags) registerTLS(f *pflag.FlagSet) {
	f.StringVar(&s.files.CA, "ssl-ca-file", "", "`file` with authorities that the server's certificate may come from (default the system's)")
	f.StringVar(&s.files.Certificate, "ssl-certificate", "", "`file` with a certificate to show to it")
	f.StringVar(&s.files.Key, "ssl-key", "", "`file` with the key of that certificate (default the same file)")
}

// targets returns the servers, at least one.
func (s *serverFlags) targets() (all []client.Target, err error) {
	servers := s.servers
	if text := os.Getenv(serverVariable); len(servers) == 0 && text != "" {
		servers = strings.Split(text, ",")
	}
	if len(servers) == 0 {
		servers = []string{""}
	}
	for _, text := range servers {
		t, err := client.ParseTarget(strings.TrimSpace(text), s.files)
		if err != nil {
			return nil, usageError{err}
		}
		all = append(all, t)
	}
	return all, nil
}
