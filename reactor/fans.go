package reactor

import "gearloop/sched"

// carryFans gives the scheduler's fans to a loop. on and caller are those of carry: a caller is not read
// until all its packets are in the output of all listeners.
func (s *Server) carryFans(fx *sched.Effects, on *loop, caller *conn) {
	for _, p := range fx.Resume {
		if c := p.User.(*conn); c.loop == on {
			c.fanned()
		} else {
			c.loop.do(c.fanned)
		}
	}
	if fx.Waits > 0 && caller != nil {
		caller.fanWaits += fx.Waits
		caller.halts |= haltFan
	}
	for _, f := range fx.Fans {
		if on != nil {
			on.addFan(f)
			continue
		}
		l := s.allLoops()[0] // any loop will do
		l.do(func() { l.addFan(f) })
	}
}

// addFan queues a fan on the loop.
func (l *loop) addFan(f *sched.Fan) {
	l.fans.push(f)
	l.pacer.ask()
}

// fanOut sends some packets of each fan in turn.
func (l *loop) fanOut() {
	for spent := 0; !l.fans.empty() && spent < fanTurn; {
		f := l.fans.pop()
		more := l.server.cfg.Sched.FanOut(f, fanTurn-spent, &l.fx)
		spent += max(l.fx.Work, 1)
		l.carry(nil)
		if more {
			l.fans.push(f)
		}
	}
	if !l.fans.empty() {
		l.pacer.ask()
	}
}

// dropFans discards what is left when the loop has ended.
func (l *loop) dropFans() {
	for !l.fans.empty() {
		f := l.fans.pop()
		for more := true; more; {
			more = l.server.cfg.Sched.FanOut(f, fanTurn, &l.fx)
			l.discard()
		}
	}
}

// fanned records that one of the fans that the connection waits for is done.
func (c *conn) fanned() {
	if c.fanWaits--; c.fanWaits == 0 {
		c.halts &^= haltFan
		if !c.departed {
			c.steer()
		}
	}
}
