package clustertest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/proxy"
	"gearloop/test/wire"
)

// Brokers are killed at any moment. One half of them is started again at once and takes its own jobs back,
// the jobs of the others are taken over first.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	_, url := schema(t)
	s := open(t, url, 2)
	s.submit(8)
	s.work(2)
	for n := range times(1, 20) {
		victim := s.brokers[n%2]
		s.backlog(victim, 200+rand.IntN(1000))
		s.work(2)
		s.l.handOut(rand.IntN(200))
		victim.kill()
		if n%4 < 2 {
			s.l.caughtUp()
			victim.start()
		} else {
			victim.start()
			s.l.caughtUp()
		}
	}
	s.l.more(50)
	s.finish()
}

// A broker that ends in order leaves its jobs to the other one.
func TestBrokerEnds(t *testing.T) {
	t.Parallel()
	_, url := schema(t)
	s := open(t, url, 2)
	s.submit(8)
	s.l.more(200)
	over := s.l.trouble(0)
	s.brokers[0].signal(syscall.SIGTERM)
	if _, err := s.brokers[0].server.Wait(await.Limit); err != nil {
		t.Fatal(err)
	}
	over()
	s.work(2)
	s.l.caughtUp()
	s.finish()
}

// One standby is killed: the other one goes on acknowledging.
func TestStandbyKilled(t *testing.T) {
	t.Parallel()
	db, url := schema(t)
	s := open(t, url, 2)
	s.submit(8)
	s.work(2)
	for n := range times(1, 4) {
		s.l.more(100)
		standby := db.Nodes[1+n%2]
		standby.Crash()
		s.l.more(100)
		standby.Run(t)
		if err := db.Follow(2); err != nil {
			t.Fatal(err)
		}
	}
	s.finish()
}

// A broker is frozen past its lease. When it wakes it hands out nothing of what the other has taken over, and
// its late ends change nothing.
func TestBrokerFrozen(t *testing.T) {
	t.Parallel()
	_, url := schema(t)
	s := open(t, url, 2)
	s.submit(8)
	s.work(2)
	for n := range times(1, 4) {
		victim := s.brokers[n%2]
		s.backlog(victim, 500)
		s.work(2)
		s.l.handOut(100)
		over := s.l.trouble(victim.number)
		if err := victim.server.Freeze(); err != nil {
			t.Fatal(err)
		}
		s.l.froze(victim.number)
		over()
		s.l.caughtUp()
		victim.signal(syscall.SIGCONT)
		victim.logs("goes on with a new run")
		s.l.more(100)
	}
	s.finish()
}

// A broker is cut off from the database alone, by a network that drops all packets. Foreground jobs go on
// there, stored ones are taken over by the other broker.
func TestBrokerCutOff(t *testing.T) {
	t.Parallel()
	_, direct := schema(t)
	s := open(t, direct, 1)
	address, proxies := behindProxies(t, direct)
	victim := s.add(address)
	victim.start()
	s.submit(8)
	s.work(2)
	for range times(1, 4) {
		s.backlog(victim, 20_000) // more than it can hand out until its lease ends
		over := s.l.trouble(victim.number)
		for _, p := range proxies {
			p.Silence(true)
		}
		foreground(t, *victim.addr.Load())
		await.Until(t, "the other one has taken over", func() bool {
			time.Sleep(poll)
			var runs int
			return ask(direct, "select count(*) from run r join run o on o.run = r.owner where r.node = 'n1' and o.node = 'n0'", &runs) == nil && runs > 0
		})
		s.work(2)
		s.l.caughtUp()
		foreground(t, *victim.addr.Load())
		for _, p := range proxies {
			p.Silence(false)
			p.Cut() // the network has forgotten them
		}
		victim.logs("goes on with a new run")
		over()
		s.l.more(100)
	}
	s.finish()
}

// foreground does a foreground job at a broker.
func foreground(t *testing.T, addr string) {
	t.Helper()
	c, w := wire.Dial(t, addr), wire.Dial(t, addr)
	h := c.Submit(codec.SubmitJob, "foreground", "", "x")
	w.Send(codec.CanDo, "foreground")
	w.Send(codec.GrabJob)
	w.Want(codec.JobAssign, h, "foreground", "x")
	w.Send(codec.WorkComplete, h, "y")
	c.Want(codec.WorkComplete, h, "y")
	c.Close()
	w.Close()
}

// behindProxies returns the address of a database whose nodes are reached through proxies, one for each.
func behindProxies(t *testing.T, address string) (string, []*proxy.Proxy) {
	t.Helper()
	role, rest, _ := strings.Cut(address, "@")
	hosts, rest, _ := strings.Cut(rest, "/")
	var proxies []*proxy.Proxy
	var addrs []string
	for _, host := range strings.Split(hosts, ",") {
		p := proxy.Start(t, host)
		proxies = append(proxies, p)
		addrs = append(addrs, p.Addr)
	}
	return role + "@" + strings.Join(addrs, ",") + "/" + rest, proxies
}

// Connections to the database break at any byte, either way, under load. Batches in doubt are sent again, and
// each job is stored once.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	_, direct := schema(t)
	address, proxies := behindProxies(t, direct)
	s := open(t, direct, 0)
	for range 2 {
		s.add(address).start()
	}
	s.submit(8)
	s.work(2)
	defer s.l.trouble(-1)()
	for n := range times(4, 60) {
		p := proxies[0]
		p.CutAfter([]proxy.Way{proxy.Forth, proxy.Back}[n%2], 1+rand.Int64N(1<<uint(4+n%12)))
		await.Until(t, "it is cut", func() bool { return !p.Planned() })
		s.l.more(20)
	}
	s.finish()
}

// The broker that takes over dies in the middle of it. A third one takes over from both.
func TestAdopterKilled(t *testing.T) {
	t.Parallel()
	_, url := schema(t)
	s := open(t, url, 3)
	first := s.brokers[0]
	fill(s, first, times(3000, 100_000))
	var run int64
	if err := ask(url, "select run from run where node = 'n0'", &run); err != nil {
		t.Fatal(err)
	}
	first.kill()
	var adopter string
	await.Until(t, "another one has taken over", func() bool {
		time.Sleep(poll)
		return ask(url, fmt.Sprintf("select o.node from run r join run o on o.run = r.owner where r.run = %d", run), &adopter) == nil && adopter != "n0"
	})
	for _, b := range s.brokers {
		if adopter == fmt.Sprint("n", b.number) {
			b.kill()
		}
	}
	s.submit(2)
	s.work(2)
	s.l.caughtUp()
	s.finish()
}

// backlog ends the workers, and submits a number of jobs to one broker.
func (s *site) backlog(b *broker, number int) {
	s.t.Helper()
	s.stopWorkers()
	s.workers.Wait()
	fill(s, b, number)
}

// fill submits a number of jobs to one broker. One that has just got its database back may refuse the first
// ones.
func fill(s *site, b *broker, number int) {
	s.t.Helper()
	c := wire.Dial(s.t, *b.addr.Load())
	defer c.Close()
	const window = 500
	for done := 0; done < number; {
		var out []byte
		var arguments []string
		for range min(window, number-done) {
			n, argument := s.l.submits()
			arguments = append(arguments, argument)
			out = codec.AppendRequest(out, codec.SubmitJobBg, functions[n%len(functions)], "", argument)
		}
		c.Raw(out)
		for _, argument := range arguments {
			answer := c.Next()
			if answer.Type != codec.JobCreated {
				s.l.refuses()
				continue
			}
			s.l.acknowledges(argument, string(answer.Data))
			done++
		}
	}
}
