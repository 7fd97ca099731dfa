package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"gearloop/store/disk"
	"gearloop/store/postgres"
)

// sharedOptions are the options of a store that several brokers share.
type sharedOptions struct {
	url         string
	node        string // what it is called among them
	peerAddress string // where the others reach it
}

func (s *sharedOptions) register(f *pflag.FlagSet) {
	f.Var(&setter{typ: "url", set: s.setURL}, "store",
		"`url` of a PostgreSQL database to store background jobs in, together with other brokers, as postgres://HOST,HOST/NAME")
	f.Var(&text{at: &s.node, typ: "name"}, "node", "`name` of this broker among those that share --store (default the host's)")
	f.Var(&text{at: &s.peerAddress, typ: "address"}, "peer-address",
		"`address` by which the other brokers of --store reach this one, as HOST:PORT (default the first that is listened on)")
}

func (s *sharedOptions) setURL(text string) error {
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return fmt.Errorf("%q is no address of a database: it must begin with postgres://", text)
	}
	if _, err := pgx.ParseConfig(text); err != nil {
		return errors.New("the address can't be read: it must be as postgres://USER@HOST:PORT/NAME")
	}
	s.url = text
	return nil
}

// shown returns the URL without its passwords.
func (s *sharedOptions) shown() string {
	u, err := url.Parse(s.url)
	if err != nil {
		return ""
	}
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} { // pgx takes them there, too
		if q.Has(name) {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// handlePrefix is the same at all brokers of a database: a handle of one has a meaning to the others.
func (s *sharedOptions) handlePrefix() string {
	if s.url == "" {
		return ""
	}
	config, err := pgx.ParseConfig(s.url)
	if err != nil {
		return ""
	}
	return "H:" + cmp.Or(config.Database, config.User)
}

// storeEngine is where jobs are stored, as the API has it.
func (o *options) storeEngine() string {
	if o.shared.url != "" {
		return "postgres"
	}
	return "disk"
}

// sharedStore is a database as a place where jobs are stored.
type sharedStore struct{ *postgres.Engine }

func (s sharedStore) Activity() disk.Activity {
	a := s.Engine.Activity()
	return disk.Activity{Written: a.Written, Failures: disk.Failures{disk.Write: a.Failures}, Since: a.Since, Sync: a.Commit, Batch: a.Batch}
}

// Free is not known of a database.
func (s sharedStore) Free() (int64, error) { return 0, errors.ErrUnsupported }

func (p *process) openShared() (keeper, error) {
	if p.shared.node == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		p.shared.node = name
	}
	address := p.shared.peerAddress
	if address == "" {
		address = reachable(p.addresses)
	}
	p.peers.Handle = func(number uint64) string { return string(p.scheduler.AppendHandle(nil, number)) }
	engine, err := postgres.Open(postgres.Options{
		URL: p.shared.url, Node: p.shared.node, Address: address, Ask: p.peers.Ask, MaxQueued: min(p.queueLimit, 64<<20),
		Fault: p.logFault, Ready: p.restoreSharedSettings,
		Event: func(e postgres.Event) {
			if e.Warning {
				p.log.Warn(e.Text, e.Details...)
			} else {
				p.log.Info(e.Text, e.Details...)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	p.engine.Store(engine)
	return sharedStore{engine}, nil
}

// self returns how other brokers of the database recognize this one; run 0 before it is among them.
func (p *process) self() (secret string, run uint64) {
	if e := p.engine.Load(); e != nil {
		return e.Secret(), e.Self()
	}
	return "", 0
}

// restoreSharedSettings sets on functions what was set before the restart, once the database is there.
func (p *process) restoreSharedSettings() {
	if p.restored {
		return
	}
	if err := p.restoreSettings(); err != nil {
		p.log.Error("the settings of functions could not be read: none is paused or closed", "error", err)
	}
	p.restored = true
}

// reachable returns the first address that brokers on other machines can reach, or the first there is.
func reachable(addresses []string) string {
	first := ""
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		ip := net.ParseIP(host)
		if err != nil || ip == nil {
			continue // a unix socket, TLS or HTTP
		}
		if ip.IsUnspecified() {
			if name, err := os.Hostname(); err == nil {
				return net.JoinHostPort(name, port)
			}
		}
		if !ip.IsLoopback() {
			return a
		}
		first = cmp.Or(first, a)
	}
	return first
}
