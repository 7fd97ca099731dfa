package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
)

// Peer is another broker, as the database names it.
type Peer struct {
	Run     uint64 // that stands for it in the fence
	Address string // where it is reached, as HOST:PORT
	Secret  string // shared by all brokers of the database: proves to the other that a broker asks
}

// Request is what one broker asks another: about the job with a number, or with a unique id.
type Request struct {
	Number uint64
	Unique string // if Number is 0
	Cancel bool   // end the job; Status.Known of the answer says that it was there
}

// question is a request that waits for its answer.
type question struct {
	number uint64
	cancel bool
	answer func(store.Status, error)

	// table says that the row of the job is looked at when its owner does not answer.
	table bool
	// unique, if number is 0, is asked of every broker.
	unique string
}

// inquiry asks other brokers. A dispatcher finds the owners of all jobs asked about with one statement; each owner has
// an asker, a goroutine that lives while questions wait for it. So an owner that is silent delays nobody else, there are
// never more goroutines than brokers, and the questions to one owner travel together.
type inquiry struct {
	e    *Engine
	wake chan struct{}

	mu     sync.Mutex
	fresh  []question
	owners map[Peer][]question // of those that have an asker
	open   int                 // lookups without an answer
}

const (
	mostLookups  = 1024 // that wait at a time; contested jobs are bounded by their bytes
	questionsMax = 256  // that travel together
)

func (q *inquiry) init(e *Engine) {
	q.e, q.wake, q.owners = e, make(chan struct{}, 1), map[Peer][]question{}
}

// add has a question answered, on another goroutine. The answer may come with an error: the owner is silent.
func (q *inquiry) add(one question) {
	q.mu.Lock()
	q.fresh = append(q.fresh, one)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// lookUp is add for a question whose answer goes to the user. It returns false if too many such questions wait.
func (q *inquiry) lookUp(one question, answer func(store.Status, error)) bool {
	q.mu.Lock()
	if q.open == mostLookups || q.e.ctx.Err() != nil {
		q.mu.Unlock()
		return false
	}
	q.open++
	q.mu.Unlock()
	one.answer = func(st store.Status, err error) {
		q.mu.Lock()
		q.open--
		q.mu.Unlock()
		q.e.call(func() { answer(st, err) })
	}
	q.add(one)
	return true
}

// Lookup implements store.Store. When too many questions wait, a job is not known.
func (e *Engine) Lookup(number uint64, answer func(store.Status)) bool {
	return e.inquiry.lookUp(question{number: number, table: true}, func(st store.Status, _ error) { answer(st) })
}

// LookupUnique implements store.Peers.
func (e *Engine) LookupUnique(unique string, answer func(store.Status)) bool {
	return e.opts.Ask != nil && e.inquiry.lookUp(question{unique: unique}, func(st store.Status, _ error) { answer(st) })
}

// Cancel implements store.Peers.
func (e *Engine) Cancel(number uint64, answer func(known bool, err error)) bool {
	return e.opts.Ask != nil && e.inquiry.lookUp(question{number: number, cancel: true}, func(st store.Status, err error) {
		if err != nil {
			err = store.ErrSilent
		}
		answer(st.Known, err)
	})
}

// run is the dispatcher.
func (q *inquiry) run() {
	for {
		select {
		case <-q.e.ctx.Done():
			return
		case <-q.wake:
		}
		for {
			q.mu.Lock()
			asked := q.fresh[:min(len(q.fresh), mostLookups)]
			if q.fresh = q.fresh[len(asked):]; len(q.fresh) == 0 {
				q.fresh = nil
			}
			q.mu.Unlock()
			if len(asked) == 0 || q.e.ctx.Err() != nil {
				break
			}
			q.dispatch(asked)
		}
	}
}

var (
	// errAdopting: this broker has taken the run over and has not read the job yet.
	errAdopting = errors.New("the job is being adopted")
)

const (
	ownersSQL = `select r.run, o.run, o.address from run r join run o on o.run = r.owner where r.run = any($1)`
	peersSQL  = `select r.run, r.address from run r join beat b on b.run = r.run where r.owner = r.run and not b.released and r.run <> $1`
)

// dispatch gives each question to the asker of its owner.
func (q *inquiry) dispatch(asked []question) {
	owners, peers, err := q.read(asked)
	if err != nil { // the table can't be asked either
		for _, one := range asked {
			one.answer(store.Status{}, err)
		}
		return
	}
	me := q.e.heart.run0()
	var rest []question // where nobody is asked
	for _, one := range asked {
		if one.number == 0 {
			q.askAll(one, peers)
			continue
		}
		run := store.RunOf(one.number)
		owner, there := owners[run]
		switch {
		case !there: // a run goes when none of its jobs lives
			one.answer(store.Status{}, nil)
		case owner.Run == me && !one.cancel && q.e.has(one.number):
			one.answer(store.Status{Known: true}, nil)
		case owner.Run == me && q.e.adoption.hasRead(run) && !q.e.has(one.number):
			one.answer(store.Status{}, nil)
		case owner.Run == me:
			q.fail([]question{one}, errAdopting)
		case q.e.opts.Ask == nil:
			rest = append(rest, one)
		default:
			q.give(owner, one)
		}
	}
	if len(rest) > 0 {
		there, err := q.inTable(rest)
		for _, one := range rest {
			one.answer(store.Status{Known: there[int64(one.number)]}, err)
		}
	}
}

// read returns the owners of all runs that are asked about, and every living broker if one is asked about a unique id.
func (q *inquiry) read(asked []question) (owners map[uint64]Peer, peers []Peer, err error) {
	ctx, cancel := context.WithTimeout(q.e.ctx, connectLimit)
	defer cancel()
	pool, err := q.e.readers(ctx)
	if err != nil {
		return nil, nil, err
	}
	secret := q.e.Secret()
	seen, all := map[uint64]bool{}, false
	var runs []int64
	for _, one := range asked {
		run := store.RunOf(one.number)
		switch {
		case one.number == 0:
			all = true
		case !seen[run]:
			seen[run] = true
			runs = append(runs, int64(run))
		}
	}
	var run, owner int64
	var address string
	if len(runs) > 0 {
		owners = map[uint64]Peer{}
		rows, err := pool.Query(ctx, ownersSQL, runs)
		if err != nil {
			return nil, nil, err
		}
		_, err = pgx.ForEachRow(rows, []any{&run, &owner, &address}, func() error {
			owners[uint64(run)] = Peer{Run: uint64(owner), Address: address, Secret: secret}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if all {
		rows, err := pool.Query(ctx, peersSQL, int64(q.e.heart.run0()))
		if err != nil {
			return nil, nil, err
		}
		_, err = pgx.ForEachRow(rows, []any{&run, &address}, func() error {
			peers = append(peers, Peer{Run: uint64(run), Address: address, Secret: secret})
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return owners, peers, nil
}

// askAll asks every broker. The first one that knows a job answers.
func (q *inquiry) askAll(one question, peers []Peer) {
	var mu sync.Mutex
	left, answered := len(peers), false
	if left == 0 {
		one.answer(store.Status{}, nil)
		return
	}
	each := question{unique: one.unique, answer: func(st store.Status, err error) {
		mu.Lock()
		left--
		first := !answered && (st.Known || left == 0)
		answered = answered || first
		mu.Unlock()
		if first {
			one.answer(st, err)
		}
	}}
	for _, peer := range peers {
		q.give(peer, each)
	}
}

// give hands a question to the asker of a broker, and starts that one if there is none.
func (q *inquiry) give(owner Peer, one question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting, asking := q.owners[owner]
	q.owners[owner] = append(waiting, one)
	if !asking {
		q.e.rooms.Go(func() { q.ask(owner) })
	}
}

// ask is the asker of one broker.
func (q *inquiry) ask(owner Peer) {
	for {
		q.mu.Lock()
		waiting := q.owners[owner]
		if len(waiting) == 0 {
			delete(q.owners, owner)
			q.mu.Unlock()
			return
		}
		n := min(len(waiting), questionsMax)
		q.owners[owner] = waiting[n:]
		q.mu.Unlock()
		asked := waiting[:n]
		requests := make([]Request, n)
		for i := range asked {
			requests[i] = Request{Number: asked[i].number, Unique: asked[i].unique, Cancel: asked[i].cancel}
		}
		ctx, cancel := context.WithTimeout(q.e.ctx, q.e.opts.Beat)
		answers, err := q.e.opts.Ask(ctx, owner, requests)
		cancel()
		if err != nil || len(answers) != n {
			q.fail(asked, err)
			continue
		}
		for i := range asked {
			asked[i].answer(answers[i], nil)
		}
	}
}

// fail answers questions whose owner is silent. The table tells at least whether the job is there.
func (q *inquiry) fail(asked []question, err error) {
	if err == nil {
		err = errors.New("the answers of another broker are incomplete")
	}
	var look []question
	for _, one := range asked {
		if one.table {
			look = append(look, one)
		}
	}
	there := map[int64]bool{}
	if len(look) > 0 {
		there, _ = q.inTable(look)
	}
	for _, one := range asked {
		one.answer(store.Status{Known: there[int64(one.number)]}, err)
	}
}

// inTable returns which of the jobs that are asked about have a row.
func (q *inquiry) inTable(asked []question) (there map[int64]bool, err error) {
	ctx, cancel := context.WithTimeout(q.e.ctx, connectLimit)
	defer cancel()
	pool, err := q.e.readers(ctx)
	if err != nil {
		return nil, err
	}
	numbers := make([]int64, len(asked))
	for i := range asked {
		numbers[i] = int64(asked[i].number)
	}
	rows, err := pool.Query(ctx, `select handle from job where handle = any($1)`, numbers)
	if err != nil {
		return nil, err
	}
	there = map[int64]bool{}
	var handle int64
	_, err = pgx.ForEachRow(rows, []any{&handle}, func() error {
		there[handle] = true
		return nil
	})
	return there, err
}
