package sched

import (
	"bytes"
	"strconv"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
)

// Handle processes a packet from a peer. data is valid only during the call; the scheduler copies or retains
// what it keeps.
func (s *Sched) Handle(p *Peer, t codec.Type, data payload.View, now time.Time, fx *Effects) {
	switch t {
	case codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobHighBg,
		codec.SubmitJobLow, codec.SubmitJobLowBg, codec.SubmitJobSched, codec.SubmitJobEpoch,
		codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		s.submit(p, t, data, now, fx)
	case codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll:
		s.grab(p, t, now, fx)
	case codec.WorkComplete, codec.WorkFail, codec.WorkException, codec.WorkStatus,
		codec.WorkData, codec.WorkWarning:
		s.work(p, t, data, now, fx)
	case codec.PreSleep:
		s.endExcepted(p, now, fx)
		s.sleep(p, now, fx)
	case codec.CanDo:
		s.canDo(p, data.Head(), -1, now, fx)
	case codec.CanDoTimeout:
		s.canDoTimeout(p, data.Head(), now, fx)
	case codec.CantDo:
		s.cantDo(p, data.Head(), now, fx)
	case codec.ResetAbilities:
		if s.dropSome(p, nil, now, fx) || !s.dropAbilities(p, now, fx) {
			fx.Again = true
			return
		}
		s.dropJobs(p, nil, now, fx)
	case codec.AllYours:
		if s.dialect.AllYours != dialect.Accept {
			s.badPacket(p, s.dialect.AllYours, s.dialect.NotExpected, fx)
			return
		}
		s.allYours(p, now, fx)
	case codec.SetClientID:
		s.setClientID(p, data.Head())
	case codec.OptionReq:
		s.option(p, data, fx)
	case codec.GetStatus:
		s.getStatus(p, data.Head(), fx)
	case codec.GetStatusUnique:
		s.getStatusUnique(p, data.Head(), fx)
	case codec.EchoReq:
		fx.sendBody(p, codec.EchoRes, data)
	default:
		if s.dialect.NotExpected.Code != "" && (t.Known() || t == unused) {
			fx.sendError(p, s.dialect.NotExpected)
			return
		}
		s.badPacket(p, s.dialect.UnknownPacket, s.dialect.ServerError.With("Unknown packet type %d.", t), fx)
	}
}

// unused is the only packet number within the protocol's range that no packet has.
const unused codec.Type = 5

// option handles OPTION_REQ. The only option is "exceptions".
func (s *Sched) option(p *Peer, data payload.View, fx *Effects) {
	name := data.Head()
	if s.dialect.FoldOption {
		name, _, _ = codec.Cut(name)
		name = bytes.ToLower(name)
	}
	if string(name) != "exceptions" {
		fx.sendError(p, s.dialect.UnknownOption)
		return
	}
	p.exceptions.Store(true)
	fx.sendBody(p, codec.OptionRes, data)
}

// AppendHandle appends the handle of the job with this number: prefix, colon, number.
func (s *Sched) AppendHandle(dst []byte, number uint64) []byte {
	return strconv.AppendUint(append(dst, s.prefix...), number, 10)
}

// handleText is the text of a shard's last handle but for its last digits, which alone differ in those of
// many jobs.
type handleText struct {
	head []byte // prefix, colon, and number / lastDigits
	of   uint64 // that
}

// lastDigits is how many numbers have the same head.
const lastDigits = 10_000

// appendHandle is AppendHandle for a number of the shard, which is locked.
func (sh *shard) appendHandle(dst []byte, number uint64) []byte {
	high, low := number/lastDigits, uint(number%lastDigits)
	if high != sh.handle.of {
		sh.handle.head, sh.handle.of = sh.sched.AppendHandle(sh.handle.head[:0], high), high
	}
	if high == 0 {
		return sh.sched.AppendHandle(dst, number)
	}
	dst = append(dst, sh.handle.head...)
	return append(dst, byte('0'+low/1000), byte('0'+low/100%10), byte('0'+low/10%10), byte('0'+low%10))
}

// nextNumber returns the number of a new job, which ends its handle. The number determines the shard, so a
// handle is enough to find the job. The shard is locked.
func (sh *shard) nextNumber() uint64 {
	n := sh.sequence<<store.ShardBits + uint64(sh.index) + 1
	sh.sequence++
	return n
}

// parseHandle returns the number in one of our handles, 0 for any other.
func (s *Sched) parseHandle(handle []byte) uint64 {
	n := len(s.prefix)
	if len(handle) <= n || len(handle) >= MaxHandle || string(handle[:n]) != s.prefix {
		return 0
	}
	digits := handle[n:]
	if digits[0] == '0' || len(digits) > maxDigits {
		return 0
	}
	var number uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0
		}
		number = number*10 + uint64(c-'0')
	}
	return number
}

// shardOfJob returns the shard of a job's number.
func (s *Sched) shardOfJob(number uint64) *shard { return &s.shards[store.ShardOfNumber(number)] }

// lockJob returns the job with that handle and its shard, locked. If there is none, both are nil, and no lock
// is held.
func (s *Sched) lockJob(handle string) (j *job, sh *shard) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return nil, nil
	}
	sh = s.shardOfJob(number)
	sh.lock()
	if j = sh.jobs.get(number); j == nil {
		sh.mu.Unlock()
		return nil, nil
	}
	return j, sh
}
