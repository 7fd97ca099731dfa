package metrics

import (
	"slices"
	"strconv"

	"gearloop/codec"
	"gearloop/internal/histogram"
	"gearloop/reactor"
)

func (m *Metrics) writeConnections(w *writer) {
	server := m.cfg.Source.Reactor()
	if server == nil {
		return
	}
	now, limit := server.Connections()
	c := server.Counters()
	loops := server.Loops()
	var sum reactor.LoopStats
	codes := map[string]uint64{}
	for i := range loops {
		l := &loops[i]
		sum.TLS += l.TLS
		sum.BytesIn += l.BytesIn
		sum.BytesOut += l.BytesOut
		sum.Lines += l.Lines
		for t := range l.Received {
			sum.Received[t] += l.Received[t]
			sum.Sent[t] += l.Sent[t]
		}
		for reason, n := range l.Closed {
			sum.Closed[reason] += n
		}
		for code, n := range l.Errors {
			codes[code] += n
		}
	}
	one := func(f family, n int64) {
		w.begin(f)
		w.sample(float64(n))
	}
	one(connections, int64(now))
	one(connectionsTL, int64(sum.TLS))
	one(connectionMax, int64(limit))
	one(halfClosed, int64(server.HalfClosed()))
	w.begin(accepted)
	for _, d := range server.Doors() {
		w.sample(float64(d.Accepted), d.Kind+":"+d.Address)
	}
	w.begin(closedTotal)
	for reason, name := range reactor.CloseReasons() {
		w.count(sum.Closed[reason], name)
	}
	one(acceptWaits, c.Waited.Load())
	one(turnedAway, c.TurnedAway.Load())
	one(acceptErrors, c.AcceptErrors.Load())
	w.begin(handshakes)
	results := c.HandshakesBy()
	for _, result := range sortedKeys(results) {
		w.count(uint64(results[result]), result)
	}
	one(bytesIn, int64(sum.BytesIn))
	one(bytesOut, int64(sum.BytesOut))
	for _, p := range []struct {
		family
		n     []uint64
		usual []codec.Type
	}{{packetsIn, sum.Received[:], usualIn}, {packetsOut, sum.Sent[:], usualOut}} {
		w.begin(p.family)
		for t, n := range p.n {
			switch {
			case t == 0 && n > 0:
				w.count(n, "unknown")
			case t > 0 && (n > 0 || codec.Type(t).Known() && slices.Contains(p.usual, codec.Type(t))):
				w.count(n, codec.Type(t).String())
			}
		}
	}
	one(textCommands, int64(sum.Lines))
	w.begin(errorsSent)
	for _, code := range sortedKeys(codes) {
		w.count(codes[code], labelOf(code))
	}
	if server.ReadsHeaders() {
		one(badHeaders, c.Headers.Load())
	}
	if refused := server.RefusedRights(); len(refused) > 0 {
		w.begin(noRight)
		for _, r := range refused {
			w.count(uint64(r.Count), r.Right)
		}
	}
	one(internalFault, c.Panics.Load())
}

// usualIn and usualOut are packets that are written from the beginning, so that the first one is an increase.
var (
	usualIn = []codec.Type{
		codec.CanDo, codec.CanDoTimeout, codec.PreSleep, codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.SubmitJob,
		codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobHighBg, codec.SubmitJobLow, codec.SubmitJobLowBg, codec.WorkStatus,
		codec.WorkComplete, codec.WorkFail, codec.WorkException, codec.WorkData, codec.WorkWarning, codec.GetStatus, codec.EchoReq,
	}
	usualOut = []codec.Type{
		codec.Noop, codec.JobCreated, codec.NoJob, codec.JobAssign, codec.JobAssignUniq, codec.JobAssignAll, codec.WorkStatus,
		codec.WorkComplete, codec.WorkFail, codec.WorkException, codec.WorkData, codec.WorkWarning, codec.StatusRes, codec.EchoRes,
		codec.Error,
	}
)

func (m *Metrics) writeLoops(w *writer) {
	loops := m.cfg.Source.LoopStats()
	each := func(f family, write func(*reactor.LoopStats, string)) {
		w.begin(f)
		for i := range loops {
			write(&loops[i], strconv.Itoa(i))
		}
	}
	each(loopTurn, func(l *reactor.LoopStats, i string) { w.times(&l.Turn, histogram.Turns, i) })
	each(loopLag, func(l *reactor.LoopStats, i string) { w.times(&l.Lag, histogram.Turns, i) })
	each(loopTurns, func(l *reactor.LoopStats, i string) { w.count(l.Turns, i) })
	each(loopReads, func(l *reactor.LoopStats, i string) { w.count(l.Reads, i) })
	each(loopPackets, func(l *reactor.LoopStats, i string) { w.count(l.Packets, i) })
	each(loopWrites, func(l *reactor.LoopStats, i string) { w.count(l.Writes, i) })
	each(loopMail, func(l *reactor.LoopStats, i string) { w.count(l.MailItems, i) })
	each(loopBatches, func(l *reactor.LoopStats, i string) { w.count(l.MailBatches, i) })
	each(loopStoodIn, func(l *reactor.LoopStats, i string) { w.count(l.StoodIn, i) })
	each(loopBuffered, func(l *reactor.LoopStats, i string) { w.sample(float64(l.Buffered), i) })
	each(loopRunning, func(l *reactor.LoopStats, i string) {
		running := 0.0
		if l.Running {
			running = 1
		}
		w.sample(running, i)
	})
	each(loopConns, func(l *reactor.LoopStats, i string) { w.count(uint64(l.Connections), i) })
}
