package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gearloop/test/await"
)

// Rule is the synchronous_standby_names of a cluster: a commit is on the primary and on one standby.
const Rule = "ANY 1 (s2,s3)"

// Cluster is a primary and two standbys that follow it.
type Cluster struct {
	Nodes [3]*Server // Nodes[0] is the first primary; the others are called s2 and s3

	remove string
}

// StartCluster starts a cluster that ends with the test.
func StartCluster(tb testing.TB, settings ...string) *Cluster {
	tb.Helper()
	c, err := LaunchCluster(Options{Settings: settings}, Rule)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.End)
	return c
}

// LaunchCluster starts a cluster with a rule for synchronous standbys, and waits until both standbys follow. The
// caller ends it with End. Of the options Dir must be empty; Log and Wrap are for the primary only.
func LaunchCluster(opts Options, rule string) (c *Cluster, err error) {
	c = &Cluster{}
	defer func() {
		if err != nil {
			c.End()
		}
	}()
	if c.remove, err = TempDir("pgcluster"); err != nil {
		return c, err
	}
	// With its rule in force it would wait for standbys before there are any, so that is set later.
	primary := opts
	if primary.Dir == "" {
		primary.Dir = filepath.Join(c.remove, "s1")
	}
	if c.Nodes[0], err = Launch(primary); err != nil {
		return c, err
	}
	var copies sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		copies.Go(func() {
			c.Nodes[i+1], errs[i] = c.copy(opts, fmt.Sprint("s", i+2))
		})
	}
	copies.Wait()
	for _, err := range errs {
		if err != nil {
			return c, err
		}
	}
	if err := c.Follow(2); err != nil {
		return c, err
	}
	return c, c.Require(rule)
}

// copy starts a standby.
func (c *Cluster) copy(opts Options, name string) (*Server, error) {
	opts.Dir, opts.Log, opts.Wrap = filepath.Join(c.remove, name), "", nil
	from := c.Nodes[0].Port
	opts.Settings = append([]string{fmt.Sprintf("primary_conninfo=host=127.0.0.1 port=%d user=%s application_name=%s", from, Role, name)},
		opts.Settings...)
	s, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	args := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(from), "-U", Role, "-D", s.Dir, "-R", "-X", "stream", "-c", "fast"}
	if !opts.Durable {
		args = append(args, "--no-sync")
	}
	if err := s.tool("pg_basebackup", args...); err != nil {
		return nil, err
	}
	return s, s.Launch()
}

// Require sets a rule for synchronous standbys at the primary.
func (c *Cluster) Require(rule string) error {
	p := c.Nodes[0]
	if err := p.Do(fmt.Sprintf("alter system set synchronous_standby_names = '%s'", rule)); err != nil {
		return err
	}
	if err := p.Do("select pg_reload_conf()"); err != nil {
		return err
	}
	return p.until("the rule for standbys is in force", fmt.Sprintf("select current_setting('synchronous_standby_names') = '%s'", rule))
}

// Follow waits until a number of standbys follow the primary.
func (c *Cluster) Follow(number int) error {
	return c.Nodes[0].until(fmt.Sprint(number, " standbys follow"),
		fmt.Sprintf("select count(*) >= %d from pg_stat_replication where state = 'streaming'", number))
}

// until waits until a query is true.
func (s *Server) until(what, query string) error {
	var last error
	for limit := time.Now().Add(await.Limit); time.Now().Before(limit); time.Sleep(30 * time.Millisecond) {
		var holds bool
		if last = s.Ask(query, &holds); holds {
			return nil
		}
	}
	return fmt.Errorf("not within %v: %s (%v)\n%s", await.Limit, what, last, s.Output())
}

// Promote makes a standby a primary, and waits until it takes writes.
func (s *Server) Promote() error {
	if err := s.tool("pg_ctl", "-D", s.Dir, "promote", "-w", "-t", fmt.Sprint(int(await.Limit.Seconds()))); err != nil {
		return err
	}
	return s.until("the standby takes writes", "select not pg_is_in_recovery()")
}

// URL returns how a schema is reached at whichever node takes writes; "" is the default one.
func (c *Cluster) URL(schema string) string {
	var ports []int
	for _, n := range c.Nodes {
		ports = append(ports, n.Port)
	}
	return url(schema, ports...)
}

// End ends all nodes and removes their data.
func (c *Cluster) End() {
	for _, n := range c.Nodes {
		if n != nil {
			n.End()
		}
	}
	if c.remove != "" {
		os.RemoveAll(c.remove)
	}
}
