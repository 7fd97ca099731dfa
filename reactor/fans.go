package reactor

import "gearloop/sched"

// carryFans takes over from the scheduler what goes to many listeners. on and caller are those of carry: a caller waits,
// unread, until all of it is in the listeners' output.
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
		l := s.allLoops()[0] // any will do
		l.do(func() { l.addFan(f) })
	}
}

// addFan has the loop send what a fan has.
func (l *loop) addFan(f *sched.Fan) {
	l.fans.push(f)
	l.pacer.ask()
}

// fanOut sends some of what goes to many listeners, of each fan in turn.
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

// dropFans lets go of what is left of them when the loop has ended.
func (l *loop) dropFans() {
	for !l.fans.empty() {
		f := l.fans.pop()
		for more := true; more; {
			more = l.server.cfg.Sched.FanOut(f, fanTurn, &l.fx)
			l.discard()
		}
	}
}

// fanned says that one of the fans that the connection waits for is done.
func (c *conn) fanned() {
	if c.fanWaits--; c.fanWaits == 0 {
		c.halts &^= haltFan
		if !c.departed {
			c.steer()
		}
	}
}
