package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
	"gearloop/test/peers"
)

// Patroni is three database nodes under Patroni, which makes one of them the primary and, when that is lost, another one.
// It uses a single etcd, so this loses no majority when a node is lost. A commit is on two nodes.
type Patroni struct {
	Nodes [3]*PatroniNode

	dir  string
	etcd *process
}

// PatroniNode is one of the nodes: Patroni, and the PostgreSQL server that it runs.
type PatroniNode struct {
	Name string
	Port int // of PostgreSQL

	dir    string
	config string
	daemon *process // nil: it does not run
}

// process is a program that ends with this one.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  *output
}

func startProcess(dir, name string, args ...string) (*process, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("there is no %s: install it (make test-deps does)", name)
	}
	cmd, err := command(nil, path, args...)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, out: &output{}}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.Env = append(os.Environ(), "HOME="+dir)
	p.done, err = spawn(cmd, syscall.SIGTERM)
	return p, err
}

// end ends a process: with a signal, and by force if it does not end.
func (p *process) end(signal syscall.Signal) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return
	case <-time.After(await.Limit):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

const (
	// leaderLimit is for how long a primary that is silent stays the primary, in seconds: the least that Patroni allows.
	leaderLimit = 20

	patroniConfig = `scope: gearloop
name: %[1]s
restapi: {listen: "127.0.0.1:%[2]d", connect_address: "127.0.0.1:%[2]d"}
etcd3: {host: "127.0.0.1:%[3]d"}
bootstrap:
  dcs:
    ttl: %[4]d
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 100, shared_buffers: 64MB, fsync: "off", wal_keep_size: 256MB}
  initdb: [{encoding: UTF8}, {locale: C}, no-sync]
postgresql:
  listen: 127.0.0.1:%[5]d
  connect_address: 127.0.0.1:%[5]d
  data_dir: %[6]s/data
  bin_dir: %[7]s
  pgpass: %[6]s/pgpass
  remove_data_directory_on_rewind_failure: true
  parameters: {unix_socket_directories: "", dynamic_shared_memory_type: mmap}
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  authentication: {superuser: {username: %[8]s}, replication: {username: %[8]s}}
`
)

// StartPatroni starts three nodes that end with the test.
func StartPatroni(tb testing.TB) *Patroni {
	tb.Helper()
	p := &Patroni{}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(p.Output())
		}
		p.End()
	})
	if err := p.launch(); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *Patroni) launch() (err error) {
	if p.dir, err = TempDir("patroni"); err != nil {
		return err
	}
	var ports [8]int
	for i := range ports {
		if ports[i], err = peers.FreePort(); err != nil {
			return err
		}
	}
	client, peer := fmt.Sprint("http://127.0.0.1:", ports[0]), fmt.Sprint("http://127.0.0.1:", ports[1])
	p.etcd, err = startProcess(p.dir, "etcd", "--name", "e", "--data-dir", filepath.Join(p.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e="+peer)
	if err != nil {
		return err
	}
	postgres, err := Tool("postgres")
	if err != nil {
		return err
	}
	for i := range p.Nodes {
		n := &PatroniNode{Name: fmt.Sprint("s", i+1), Port: ports[2+i], dir: filepath.Join(p.dir, fmt.Sprint("s", i+1))}
		p.Nodes[i] = n
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			return err
		}
		n.config = filepath.Join(n.dir, "patroni.yml")
		text := fmt.Sprintf(patroniConfig, n.Name, ports[5+i], ports[0], leaderLimit, n.Port, n.dir, filepath.Dir(postgres), Role)
		if err := os.WriteFile(n.config, []byte(text), 0o644); err != nil {
			return err
		}
		uid, gid, err := owner()
		if err == nil {
			err = os.Chown(n.dir, int(uid), int(gid))
		}
		if err == nil {
			err = n.Start()
		}
		if err != nil {
			return err
		}
	}
	return p.Whole()
}

// Start starts a node that does not run.
func (n *PatroniNode) Start() (err error) {
	n.daemon, err = startProcess(n.dir, "patroni", n.config)
	return err
}

// Crash kills Patroni and PostgreSQL at a node at once, as the loss of the machine does.
func (n *PatroniNode) Crash() {
	_ = n.daemon.cmd.Process.Signal(syscall.SIGSTOP)
	postgres := n.pid()
	if postgres != 0 {
		_ = syscall.Kill(postgres, syscall.SIGSTOP)
		killTree(postgres)
	}
	_ = n.daemon.cmd.Process.Kill()
	<-n.daemon.done
	n.daemon = nil
	gone := func() bool { _, err := os.Stat(fmt.Sprint("/proc/", postgres)); return err != nil }
	for limit := time.Now().Add(await.Limit); postgres != 0 && !gone() && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	freeMemory(filepath.Join(n.dir, "data"))
}

// pid returns the process id of the node's PostgreSQL server, which is not Patroni's child; 0: it does not run.
func (n *PatroniNode) pid() int {
	text, err := os.ReadFile(filepath.Join(n.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(first)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), n.dir) {
		return 0 // it is another's by now
	}
	return pid
}

// Leader returns the node that takes writes.
func (p *Patroni) Leader() (*PatroniNode, error) {
	for _, n := range p.Nodes {
		var standby bool
		if n.daemon != nil && ask(url("", n.Port), "select pg_is_in_recovery()", &standby) == nil && !standby {
			return n, nil
		}
	}
	return nil, errors.New("no node takes writes")
}

// Whole waits until all nodes that run follow a primary, and one of them synchronously.
func (p *Patroni) Whole() error {
	last := errors.New("nobody was asked")
	running := 0
	for _, n := range p.Nodes {
		if n.daemon != nil {
			running++
		}
	}
	for limit := time.Now().Add(5 * await.Limit); time.Now().Before(limit); time.Sleep(200 * time.Millisecond) {
		var leader *PatroniNode
		if leader, last = p.Leader(); last != nil {
			continue
		}
		var whole bool
		last = ask(url("", leader.Port), fmt.Sprintf(`select count(*) = %d and count(*) filter (where sync_state in ('sync', 'quorum')) > 0
			from pg_stat_replication where state = 'streaming'`, running-1), &whole)
		if last == nil && whole {
			return nil
		}
	}
	return fmt.Errorf("not within %v: %d nodes and a primary (%v)\n%s", 5*await.Limit, running, last, p.Output())
}

// URL returns how the default schema is reached at whichever node takes writes.
func (p *Patroni) URL() string {
	var ports []int
	for _, n := range p.Nodes {
		ports = append(ports, n.Port)
	}
	return url("", ports...)
}

// Output returns what Patroni has logged, and etcd's end.
func (p *Patroni) Output() string {
	var b strings.Builder
	tail := func(name string, d *process) {
		if d != nil {
			text := d.out.String()
			fmt.Fprintf(&b, "%s:\n%s\n", name, text[max(0, len(text)-8000):])
		}
	}
	for _, n := range p.Nodes {
		if n != nil {
			tail(n.Name, n.daemon)
		}
	}
	tail("etcd", p.etcd)
	return b.String()
}

// End ends all nodes and removes their data.
func (p *Patroni) End() {
	for _, n := range p.Nodes {
		if n != nil && n.daemon != nil {
			n.Crash() // in order it would wait for the others
		}
	}
	p.etcd.end(syscall.SIGTERM)
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

// ask returns the only value of the only row of a query.
func ask(url, query string, value any) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, query).Scan(value)
}
