package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"

	"gearloop/test/peers"
)

// environment is what servers are started with.
type environment struct {
	dir      string // for data, on a disk
	gearloop string // programs
	nats     string
	prefetch int
	epmd     *process // Erlang's name server, for all RabbitMQs
	started  int
	ends     []func()
}

// running is a server that runs.
type running struct {
	pid    int
	broker broker
	end    func()
}

// close ends everything, the last one first.
func (e *environment) close() {
	for i := len(e.ends) - 1; i >= 0; i-- {
		e.ends[i]()
	}
	e.ends = nil
}

// start starts a server by its name, which says with which settings.
func (e *environment) start(ctx context.Context, name string) (*running, error) {
	e.started++
	dir := filepath.Join(e.dir, fmt.Sprint(name, "-", e.started))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	kind, rest, _ := strings.Cut(name, "-")
	kept := strings.HasSuffix(rest, "durable") || rest == "quorum"
	var r *running
	var err error
	switch kind {
	case "gearloop", "c", "perl":
		r, err = e.startGearman(kind, dir, kept)
	case "beanstalkd":
		r, err = e.startBeanstalkd(dir, kept)
	case "redis":
		r, err = e.startRedis(ctx, dir, strings.HasPrefix(rest, "stream"), kept)
	case "nats":
		r, err = e.startNATS(ctx, dir, kept)
	case "rabbitmq":
		r, err = e.startRabbitMQ(ctx, dir, kept, rest == "quorum")
	default:
		err = fmt.Errorf("no server is called %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func (e *environment) startGearman(name, dir string, kept bool) (*running, error) {
	kind, err := peers.ParseKind(name)
	if err != nil {
		return nil, err
	}
	var args []string
	switch {
	case kind == peers.Gearloop:
		args = []string{"--loops", "1"}
		if kept {
			args = append(args, "--data-dir", filepath.Join(dir, "data"), "--sync", "always")
		}
	case kept:
		args = []string{"-q", "libsqlite3", "--libsqlite3-db", filepath.Join(dir, "queue.sqlite")}
	}
	s, err := peers.Launch(kind, peers.Options{Args: args, Program: e.gearloop})
	if errors.Is(err, peers.ErrMissing) {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return nil, err
	}
	end := func() {
		if err := s.End(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	e.ends = append(e.ends, end)
	return &running{s.PID, gearman{s.Addr}, end}, nil
}

// run starts a program of another server; PORT in its arguments becomes a free port.
func (e *environment) run(dir string, env []string, program string, args ...string) (*process, error) {
	addr, port, err := freeAddr()
	if err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PORT", strconv.Itoa(port))
	}
	p, err := spawn(dir, addr, env, program, args...)
	if err == nil {
		e.ends = append(e.ends, p.end)
	}
	return p, err
}

const packaged = "scripts/peers-deps.sh installs it"

func (e *environment) startBeanstalkd(dir string, kept bool) (*running, error) {
	program, err := find(packaged, "/usr/bin/beanstalkd", "beanstalkd")
	if err != nil {
		return nil, err
	}
	args := []string{"-l", "127.0.0.1", "-p", "PORT"}
	if kept {
		args = append(args, "-b", dir, "-f0")
	}
	p, err := e.run(dir, nil, program, args...)
	if err != nil {
		return nil, err
	}
	return &running{p.pid, beanstalk{p.addr}, p.end}, nil
}

func (e *environment) startRedis(ctx context.Context, dir string, streams, kept bool) (*running, error) {
	program, err := find(packaged, "redis-server")
	if err != nil {
		return nil, err
	}
	args := []string{"--bind", "127.0.0.1", "--port", "PORT", "--dir", dir, "--save", "", "--daemonize", "no", "--appendonly", "no"}
	if kept {
		args = append(args[:len(args)-1], "yes", "--appendfsync", "always")
	}
	p, err := e.run(dir, nil, program, args...)
	if err != nil {
		return nil, err
	}
	r := redisServer{p.addr, streams, e.prefetch}
	return &running{p.pid, r, p.end}, r.prepare(ctx)
}

func (e *environment) startNATS(ctx context.Context, dir string, kept bool) (*running, error) {
	program, err := find("make bench-peers builds it", e.nats, "nats-server")
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("jetstream { store_dir: %q }\n", dir)
	storage := jetstream.MemoryStorage
	if kept {
		settings = fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always }\n", dir)
		storage = jetstream.FileStorage
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	p, err := e.run(dir, nil, program, "-a", "127.0.0.1", "-p", "PORT", "-c", file)
	if err != nil {
		return nil, err
	}
	n := natsServer{p.addr, e.prefetch}
	return &running{p.pid, n, p.end}, n.prepare(ctx, storage)
}

// startRabbitMQ starts a node with a name and ports of its own. Erlang's schedulers do not wait busily, as RabbitMQ's
// guide recommends where processors are shared; otherwise an idle node would disturb all others.
func (e *environment) startRabbitMQ(ctx context.Context, dir string, kept, quorum bool) (*running, error) {
	program, err := find(packaged, "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
	if err != nil {
		return nil, err
	}
	if e.epmd == nil {
		epmd, err := find(packaged, "epmd")
		if err != nil {
			return nil, err
		}
		if e.epmd, err = e.run(dir, nil, epmd, "-address", "127.0.0.1", "-port", "PORT"); err != nil {
			return nil, err
		}
	}
	_, epmdPort, _ := strings.Cut(e.epmd.addr, ":")
	_, distPort, err := freeAddr()
	if err != nil {
		return nil, err
	}
	addr, _, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	file := filepath.Join(dir, "rabbitmq.conf")
	settings := "listeners.tcp.1 = " + addr + "\nlog.console = false\ndisk_free_limit.absolute = 50MB\n"
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	plugins := filepath.Join(dir, "plugins")
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		return nil, err
	}
	p, err := spawn(dir, addr, []string{
		"HOME=" + dir, "RUNNING_UNDER_SYSTEMD=1", "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + epmdPort,
		"RABBITMQ_NODENAME=peers" + strconv.Itoa(e.started) + "@localhost", "RABBITMQ_NODE_PORT=" + port, "RABBITMQ_DIST_PORT=" + strconv.Itoa(distPort),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_CONFIG_FILE=" + file,
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins, "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}, program)
	if err != nil {
		return nil, err
	}
	e.ends = append(e.ends, p.end)
	r := rabbit{addr: addr, durable: kept, prefetch: e.prefetch}
	if quorum {
		r.queue = amqp.Table{"x-queue-type": "quorum"}
	}
	// It listens a moment before it lets anybody in.
	for end := time.Now().Add(startLimit); ; time.Sleep(100 * time.Millisecond) {
		if err = r.prepare(); err == nil || ctx.Err() != nil || time.Now().After(end) {
			return &running{p.pid, r, p.end}, err
		}
	}
}
