package difftest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gearloop/api"
	"gearloop/test/peers"
)

// barrierMark begins the data of the player's own ECHO_REQ packets.
const barrierMark = "difftest barrier "

// player plays one scenario to one server.
type player struct {
	side     side
	server   *peers.Server
	observer *observer
	conns    []*connection // open ones, in the order of opening
	byName   map[string]*connection
	barriers int
	at       int // index of the current step
	names    *naming
	out      transcript
	// exceptionEnds: WORK_EXCEPTION ends a job.
	exceptionEnds bool
}

// play plays a scenario to a server that nobody else uses. The error names the step that failed; the
// transcript ends before it.
func play(sc *scenario, s side, server *peers.Server) (transcript, error) {
	o, err := observe(server)
	if err != nil {
		return nil, err
	}
	defer o.sock.Close()
	p := &player{side: s, server: server, observer: o,
		byName: map[string]*connection{}, names: newNaming()}
	p.names.observer(o)
	p.names.unordered, p.names.lenient, p.exceptionEnds = sc.unordered, sc.lenient, sc.exceptionEnds
	if prefix := sc.handlePrefix(s); prefix != "" {
		p.names.handleRE = regexp.MustCompile(regexp.QuoteMeta(prefix) + `:[1-9]\d*`)
	}
	defer func() {
		for _, c := range p.byName {
			c.sock.Close()
		}
	}()
	for i, st := range sc.steps {
		p.at = i + 1
		if st.only != both && st.only != s {
			continue
		}
		if err := p.step(st); err != nil {
			for _, c := range p.conns {
				c.release()
			}
			p.collect(st, nil)
			return p.out, fmt.Errorf("line %d: %s: %w", st.line, st.text, err)
		}
	}
	return p.out, p.finish()
}

// finish collects what has arrived on held connections.
func (p *player) finish() error {
	if p.server.Alive() {
		if err := p.observer.roundTrips(); err != nil {
			return err
		}
	}
	for _, c := range p.conns {
		c.release()
	}
	p.at = 0
	p.collect(step{text: "end"}, nil)
	return nil
}

func (p *player) step(st step) error {
	switch st.verb {
	case "open":
		for _, name := range st.args {
			if err := p.open(name); err != nil {
				return err
			}
		}
		return nil
	case "mask":
		for _, name := range st.args {
			p.names.masked[name] = true
		}
		return nil
	case "refused":
		return p.awaitRefusal()
	case "server":
		return p.serverStep(st)
	case "operator":
		return p.operatorStep(st)
	}
	c := p.byName[st.conn]
	if c == nil {
		return fmt.Errorf("no connection %s", st.conn)
	}
	gathering := c.gathered != nil && st.verb != "flush"
	c.held = st.held || gathering || c.held && slices.Contains(keepHeld, st.verb)
	if err := p.act(c, st); err != nil {
		return err
	}
	if err := p.barrier(c); err != nil {
		return err
	}
	p.collect(st, c)
	return nil
}

// keepHeld are the steps after which a held connection stays held without a new mark.
var keepHeld = []string{"expect", "drained"}

// act carries out a step.
func (p *player) act(c *connection, st step) error {
	args := make([]string, len(st.args))
	for i, a := range st.args {
		v, err := evaluate(a, p.names.handleNamed)
		if err != nil {
			return err
		}
		args[i] = v
	}
	if number, ok := packetNumber(st.verb); ok {
		return c.send(frame(number, strings.Join(args, "\x00")))
	}
	switch st.verb {
	case "text":
		line := strings.Join(args, " ")
		c.listings = append(c.listings, line)
		return c.send(line + "\n")
	case "raw":
		data := strings.Join(args, "")
		if !strings.HasPrefix(data, "\x00") && strings.HasSuffix(data, "\n") {
			c.listings = append(c.listings, strings.Split(strings.TrimSuffix(data, "\n"), "\n")...)
		}
		return c.send(data)
	case "begin":
		c.gathered, c.held = []byte{}, true
		return nil
	case "flush":
		return p.flush(c, args)
	case "part":
		return p.part(c, args)
	case "drained":
		return c.drained()
	case "sync":
		return nil
	case "expect":
		return c.expect(strings.Join(args, " "))
	case "shut":
		c.held = true
		return c.sock.CloseWrite()
	case "close", "reset":
		return p.close(c, st.verb == "reset")
	case "work":
		return p.work(c, args)
	case "report":
		return p.report(c, args)
	case "toggle":
		return p.toggle(c, args)
	case "awake":
		return p.awake(c, args)
	}
	return fmt.Errorf("no such step")
}

func (p *player) open(name string) error {
	if p.byName[name] != nil {
		return fmt.Errorf("%s is open", name)
	}
	known, err := p.observer.descriptors()
	if err != nil {
		return err
	}
	c, err := connect(name, p.server)
	if err != nil {
		return err
	}
	p.byName[name] = c
	p.conns = append(p.conns, c)
	fd, err := p.observer.awaitDescriptor(known)
	if err != nil {
		return err
	}
	c.fd = fd
	p.names.opened(c)
	return nil
}

// close closes a connection and waits until the server has noticed.
func (p *player) close(c *connection, hard bool) error {
	delete(p.byName, c.name)
	for i := range p.conns {
		if p.conns[i] == c {
			p.conns = append(p.conns[:i:i], p.conns[i+1:]...)
			break
		}
	}
	if hard {
		c.reset()
	} else {
		c.sock.Close()
	}
	if !p.server.Alive() {
		return nil
	}
	if err := p.observer.awaitGone(c.fd); err != nil {
		return err
	}
	// The list may forget the connection before its jobs are handled.
	return p.observer.roundTrips()
}

// flush writes what was gathered: whole, or cut.
func (p *player) flush(c *connection, args []string) error {
	data := string(c.gathered)
	c.gathered = nil
	switch {
	case len(args) == 0:
		return c.write(data)
	case len(args) == 1 && args[0] == "at-every-offset":
		for at := 1; at < len(data); at++ {
			if err := p.writePieces(c, data, []int{at}); err != nil {
				return err
			}
		}
		return nil
	case len(args) == 2 && args[0] == "cut" && args[1] == "every":
		var cuts []int
		for at := 1; at < len(data); at++ {
			cuts = append(cuts, at)
		}
		return p.writePieces(c, data, cuts)
	case len(args) > 1 && args[0] == "cut":
		cuts, err := numbers(args[1:])
		if err != nil {
			return err
		}
		return p.writePieces(c, data, cuts)
	}
	return fmt.Errorf("flush how?")
}

func numbers(args []string) ([]int, error) {
	var ns []int
	for _, a := range args {
		n, err := parseSize(a)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// writePieces writes data in pieces that begin at the given offsets. In between the server gets time to read.
func (p *player) writePieces(c *connection, data string, cuts []int) error {
	from := 0
	for _, to := range append(cuts, len(data)) {
		if to < from || to > len(data) {
			return fmt.Errorf("a cut at %d in %d bytes", to, len(data))
		}
		if err := c.write(data[from:to]); err != nil {
			return err
		}
		if err := p.observer.roundTrips(); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// part writes the first bytes of what was gathered.
func (p *player) part(c *connection, args []string) error {
	ns, err := numbers(args)
	if err != nil || len(ns) != 1 || ns[0] > len(c.gathered) {
		return fmt.Errorf("%d bytes are gathered", len(c.gathered))
	}
	data := string(c.gathered[:ns[0]])
	c.gathered = c.gathered[ns[0]:]
	c.held = true
	if err := c.write(data); err != nil {
		return err
	}
	return c.drained()
}

// barrier waits until the server has handled everything sent so far, on each connection where it can ask, the
// sender's first.
func (p *player) barrier(sender *connection) error {
	if err := p.echo([]*connection{sender}); err != nil {
		return err
	}
	var others []*connection
	for _, c := range p.conns {
		if c != sender {
			others = append(others, c)
		}
	}
	return p.echo(others)
}

func (p *player) echo(conns []*connection) error {
	p.barriers++
	token := barrierMark + strconv.Itoa(p.barriers)
	var asked []*connection
	for _, c := range conns {
		if c.held || c.isOver() || p.byName[c.name] != c {
			continue
		}
		if err := c.writeSilently(frame(echoReq, token)); err != nil {
			return err
		}
		asked = append(asked, c)
	}
	for _, c := range asked {
		if !c.await(func() bool { return c.echoes[token] || c.over }) {
			return fmt.Errorf("%s: no answer to an ECHO_REQ", c.name)
		}
	}
	return nil
}

// collect moves what has arrived to the transcript, the sender's first.
func (p *player) collect(st step, sender *connection) {
	if sender != nil {
		p.collectFrom(st, sender)
	}
	for _, c := range p.conns {
		if c != sender {
			p.collectFrom(st, c)
		}
	}
}

func (p *player) collectFrom(st step, c *connection) {
	if p.byName[c.name] != c {
		return // closed by the scenario: nobody reads any more
	}
	events := c.drain(!c.held)
	var lines []string
	for _, e := range events {
		lines = append(lines, p.names.render(c, e))
	}
	for _, l := range p.names.sortListings(c, lines) {
		p.out = append(p.out, entry{at: p.at, step: st.text, conn: c.name, text: l})
	}
}

func (p *player) record(st step, text string) {
	p.out = append(p.out, entry{at: p.at, step: st.text, conn: "server", text: text})
}

// awaitRefusal waits until nobody accepts connections any more.
func (p *player) awaitRefusal() error {
	return poll("the server accepts connections", func() (bool, error) {
		sock, err := p.server.Dial()
		if err != nil {
			return true, nil
		}
		return false, sock.Close()
	})
}

// socketFlag is the option of the socket at which operators are.
const socketFlag = "--admin-socket"

// operatorStep does with a function what an operator can do with it.
func (p *player) operatorStep(st step) error {
	i := slices.Index(p.server.Args, socketFlag)
	if i < 0 || len(st.args) != 2 {
		return fmt.Errorf("not with this server, or not with these arguments")
	}
	c, err := api.NewClient("unix:"+p.server.Args[i+1], "", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
	defer cancel()
	return c.Post(ctx, api.Path("functions", st.args[1], st.args[0]), nil, nil)
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}

func (p *player) serverStep(st step) error {
	switch {
	case len(st.args) == 1 && st.args[0] == "exit":
		code, err := p.server.Wait(stepLimit)
		if err != nil {
			return err
		}
		for _, c := range p.conns {
			c.await(func() bool { return c.over })
			c.release()
		}
		p.collect(st, nil)
		p.record(st, fmt.Sprintf("exited %d", code))
		return nil
	case len(st.args) == 2 && st.args[0] == "signal":
		sig, ok := signals[st.args[1]]
		if !ok {
			return fmt.Errorf("no signal %s", st.args[1])
		}
		return p.server.Signal(sig)
	case len(st.args) == 1 && st.args[0] == "lives":
		// A server that ends at once would have ended before it answers this.
		if _, err := p.observer.ask("workers"); err != nil {
			return err
		}
		p.record(st, "lives")
		return nil
	}
	return fmt.Errorf("no such step")
}
