// Package peerlink lets brokers of one database ask each other about jobs, over their Gearman ports: by
// GET_STATUS, GET_STATUS_UNIQUE and the text command "cancel job". A broker introduces itself with the text
// command "peer" first, so that the other one knows who asks: it answers whatever rights the address has, and
// passes nothing on.
//
//	asks                 answers
//	peer                 PEER <nonce>
//	peer <proof>         PEER yes
//
// The proof shows that the asker knows the secret of the database, and that it means the broker with this
// run: an address that leads to another broker is an error.
//
// Files: link.go (who asks), proof.go (who answers).
package peerlink

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"gearloop/codec"
	"gearloop/store"
	"gearloop/store/postgres"
)

const (
	// mostAnswer is the largest answer, in bytes.
	mostAnswer = 1 << 20
	// restAfter is how long a broker that could not be reached is not tried again.
	restAfter = time.Second / 4
)

// Link keeps a connection to each broker that was asked lately. Its zero value has no Handle.
type Link struct {
	// Handle returns the handle of the job with a number.
	Handle func(number uint64) string
	// Idle is how long an unused connection is kept; 0 is a minute.
	Idle time.Duration

	mu    sync.Mutex
	peers map[postgres.Peer]*peer
	over  bool
}

// peer is another broker. busy is held while its connection is used.
type peer struct {
	busy   sync.Mutex
	conn   net.Conn // nil: there is none
	in     *bufio.Reader
	idle   *time.Timer
	used   uint64 // counts requests, so that the timer sees whether it is late
	failed time.Time
	err    error // of the last attempt to connect
}

// Ask sends all requests at once, over the connection that is kept for the broker, and returns its answers in
// the same order. After an error it is not known which requests were carried out.
func (l *Link) Ask(ctx context.Context, to postgres.Peer, requests []postgres.Request) ([]store.Status, error) {
	p, err := l.peer(to)
	if err != nil {
		return nil, err
	}
	p.busy.Lock()
	defer p.busy.Unlock()
	kept := p.conn != nil
	for {
		answers, err := p.connectAndAsk(ctx, to, l.Handle, requests)
		if err == nil {
			p.keep(cmp.Or(l.Idle, time.Minute))
			return answers, nil
		}
		p.close()
		// A connection that was kept may have been closed by the other side; requests may come twice without harm.
		if !kept || ctx.Err() != nil {
			return nil, err
		}
		kept = false
	}
}

// peer returns the state of a broker, and forgets those that have no connection any more.
func (l *Link) peer(to postgres.Peer) (*peer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, net.ErrClosed
	}
	if p := l.peers[to]; p != nil {
		return p, nil
	}
	for key, p := range l.peers {
		if p.busy.TryLock() {
			if p.conn == nil && time.Since(p.failed) > restAfter {
				delete(l.peers, key)
			}
			p.busy.Unlock()
		}
	}
	if l.peers == nil {
		l.peers = map[postgres.Peer]*peer{}
	}
	p := &peer{}
	l.peers[to] = p
	return p, nil
}

// Connections returns how many connections are kept.
func (l *Link) Connections() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.peers {
		if !p.busy.TryLock() {
			n++
			continue
		}
		if p.conn != nil {
			n++
		}
		p.busy.Unlock()
	}
	return n
}

// Close closes all connections, once their requests are answered.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, p := range l.peers {
		p.busy.Lock()
		p.close()
		p.busy.Unlock()
	}
}

// keep keeps the connection for the next requests, for some time. busy is held.
func (p *peer) keep(idle time.Duration) {
	_ = p.conn.SetDeadline(time.Time{})
	p.used++
	if p.idle != nil {
		p.idle.Stop()
	}
	used := p.used
	p.idle = time.AfterFunc(idle, func() {
		p.busy.Lock()
		defer p.busy.Unlock()
		if p.used == used {
			p.close()
		}
	})
}

// close closes the connection, if there is one. busy is held.
func (p *peer) close() {
	if p.idle != nil {
		p.idle.Stop()
	}
	if p.conn != nil {
		p.conn.Close()
		p.conn, p.in = nil, nil
	}
}

// connectAndAsk asks over the connection that is kept, or over a new one. The end of ctx closes it. busy is held.
func (p *peer) connectAndAsk(
	ctx context.Context, to postgres.Peer, handle func(uint64) string, requests []postgres.Request,
) ([]store.Status, error) {
	fresh := p.conn == nil
	if fresh {
		if time.Since(p.failed) < restAfter {
			return nil, p.err
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.Address)
		if err != nil {
			p.failed, p.err = time.Now(), err
			return nil, err
		}
		p.conn, p.in = conn, bufio.NewReader(conn)
	}
	conn := p.conn
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(10 * time.Second)
	}
	_ = conn.SetDeadline(end)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var answers []store.Status
	var err error
	if fresh {
		if err = p.introduce(to); err != nil {
			err = fmt.Errorf("broker at %s: %w", to.Address, err)
			p.failed, p.err = time.Now(), err
		}
	}
	if err == nil {
		answers, err = p.ask(handle, requests)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return answers, err
}

func (p *peer) introduce(to postgres.Peer) error {
	if _, err := p.conn.Write([]byte("peer\n")); err != nil {
		return err
	}
	line, err := p.line()
	if err != nil {
		return err
	}
	nonce, ok := strings.CutPrefix(line, "PEER ")
	if !ok {
		return fmt.Errorf("it takes no questions from brokers: %q", line)
	}
	if _, err := fmt.Fprintf(p.conn, "peer %s\n", Proof(to.Secret, to.Run, nonce)); err != nil {
		return err
	}
	if line, err = p.line(); err != nil {
		return err
	}
	if line != "PEER yes" {
		return errors.New("it is not the broker that the database names there")
	}
	return nil
}

// line reads a line of text.
func (p *peer) line() (string, error) {
	line, err := p.in.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}

func (p *peer) ask(handle func(uint64) string, requests []postgres.Request) ([]store.Status, error) {
	var out []byte
	for _, r := range requests {
		switch {
		case r.Cancel:
			out = fmt.Appendf(out, "cancel job %s\n", handle(r.Number))
		case r.Number == 0:
			out = codec.AppendRequest(out, codec.GetStatusUnique, r.Unique)
		default:
			out = codec.AppendRequest(out, codec.GetStatus, handle(r.Number))
		}
	}
	// The other side may stop reading while its answers are not read.
	sent := make(chan error, 1)
	conn := p.conn
	go func() {
		_, err := conn.Write(out)
		sent <- err
	}()
	answers := make([]store.Status, 0, len(requests))
	for _, r := range requests {
		st, err := p.answer(&r, handle)
		if err != nil {
			conn.Close() // ends the write
			<-sent
			return nil, err
		}
		answers = append(answers, st)
	}
	return answers, <-sent
}

func (p *peer) answer(r *postgres.Request, handle func(uint64) string) (st store.Status, err error) {
	if r.Cancel {
		line, err := p.line()
		switch {
		case err != nil:
			return st, err
		case strings.HasPrefix(line, "ERR "):
			return st, nil
		case !strings.HasPrefix(line, "OK"):
			return st, fmt.Errorf("an answer to cancel is %q", line)
		}
		return store.Status{Known: true}, nil
	}
	answer, err := codec.ReadResponse(p.in, mostAnswer)
	if err != nil {
		return st, err
	}
	want, fields := codec.StatusRes, answer.Args(5)
	if r.Number == 0 {
		want, fields = codec.StatusResUnique, answer.Args(6)
	}
	if answer.Type != want || len(fields) < 5 {
		return st, fmt.Errorf("an answer is %v", answer.Type)
	}
	asked := r.Unique
	if r.Number != 0 {
		asked = handle(r.Number)
	}
	if fields[0] != asked {
		return st, errors.New("an answer is about another job")
	}
	st = store.Status{Known: fields[1] == "1", Running: fields[2] == "1", Numerator: fields[3], Denominator: fields[4]}
	if len(fields) > 5 {
		st.Listeners, _ = strconv.Atoi(fields[5])
	}
	return st, nil
}
