package view

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gearloop/api"
	"gearloop/sched"
)

// ExplainJob returns why a job waits, or which worker has it. It looks at every connection. ok is false if
// there is no such job; the explanation says so as well.
func (s *Source) ExplainJob(handle string) (e api.Explanation, ok bool) {
	d, ok := s.cfg.Sched.Job(handle)
	now := s.cfg.Now()
	reasons, still := s.cfg.Sched.ExplainJob(handle, now)
	if !ok || !still {
		e.Handle = handle
		e.Causes = []api.Cause{{Kind: api.CauseUnknownJob, Text: "There is no such job: it has ended, or never was."}}
		return e, false
	}
	e.Function, e.FunctionBase64 = api.Split(d.Function)
	e.Handle, e.State = string(s.cfg.Sched.AppendHandle(nil, d.Number)), jobStates[d.State]
	e.Causes = s.causes(reasons, d.Function, true, now)
	return e, true
}

// ExplainFunction returns why jobs of a function wait. It looks at every connection. ok is false if the
// function is unknown.
func (s *Source) ExplainFunction(name string) (e api.Explanation, ok bool) {
	now := s.cfg.Now()
	reasons, ok := s.cfg.Sched.ExplainFunction(name, now)
	if !ok {
		return e, false
	}
	e.Function, e.FunctionBase64 = api.Split(name)
	e.Causes = s.causes(reasons, name, false, now)
	return e, true
}

func (s *Source) causes(reasons []sched.Reason, function string, ofJob bool, now time.Time) []api.Cause {
	all := make([]api.Cause, len(reasons))
	for i := range reasons {
		r := &reasons[i]
		c := &all[i]
		c.Kind, c.Since, c.Until, c.Count = r.Cause.String(), moment(r.Since), moment(r.Until), r.Count
		if r.Peer != nil {
			c.Peer = peerRef(r.Peer)
			c.Peer.ClientID, c.Peer.ClientRaw = api.Split(named(r.ClientID))
		}
		t := phrasing{function: function, reason: r, now: now}
		c.Text = t.text(s, ofJob)
	}
	return all
}

// named returns a client id, "" for a connection that has not set one.
func named(id string) string {
	if id == "-" {
		return ""
	}
	return id
}

// phrasing puts a reason into words.
type phrasing struct {
	function string
	reason   *sched.Reason
	now      time.Time
}

// shown returns a function's name for a sentence: bytes that are no text become \xNN.
func shown(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// text returns one or two sentences: what is the case, who is involved, and since when.
func (t *phrasing) text(s *Source, ofJob bool) string {
	r := t.reason
	name := shown(t.function)
	jobs := "The job is"
	if !ofJob {
		jobs = count(r.Count, "job is", "jobs are")
	}
	switch r.Cause {
	case sched.CauseDraining:
		return "The server is ending and hands out no stored jobs; the next start will."
	case sched.CausePaused:
		return t.setting("paused", "no job of it is handed out")
	case sched.CauseClosed:
		return t.setting("closed", "no submission to it is taken")
	case sched.CauseDelayed:
		if r.Until.IsZero() {
			return jobs + " delayed: submitted for a later time."
		}
		return jobs + " delayed until " + r.Until.UTC().Format(time.RFC3339) + ", in " + length(r.Until.Sub(t.now)) + "."
	case sched.CauseStoring:
		return jobs + " being stored" + t.sinceComma() + "."
	case sched.CauseStoreFails:
		return "The store takes no jobs: " + r.Text + "."
	case sched.CauseShelved:
		return jobs + " held back: the lease of stored jobs has ended, and the store has not renewed it."
	case sched.CauseBehind:
		n := strconv.Itoa(r.Count)
		if r.AtLeast {
			n = "At least " + n
		}
		if r.Count == 1 {
			return "1 job of " + name + " comes first."
		}
		return n + " jobs of " + name + " come first."
	case sched.CauseNoWorkers:
		text := "No worker is connected that can do " + name + "."
		if r.Left {
			from := "a unix socket"
			if r.Addr.IsValid() {
				from = r.Addr.String()
			}
			text += " The last one (" + from + id(r.ClientID) + ") left " + t.ago()
			if r.Count > 0 {
				text += " with " + count(r.Count, "job", "jobs") + " in hand"
			}
			text += "."
		}
		f, ok := s.cfg.Sched.FunctionStats(t.function)
		if s.Sharer() != nil && ok && !f.Oldest.IsZero() && t.now.Sub(f.Oldest) >= unattendedAfter {
			text += " " + strings.ToUpper(knowAll[:1]) + knowAll[1:] + "."
		}
		return text
	case sched.CauseAllBusy:
		text := "The only worker of " + name + " has a job"
		if r.Count != 1 {
			text = "All " + count(r.Count, "worker", "workers") + " of " + name + " have jobs"
		}
		if r.Job == 0 {
			return text + "."
		}
		of := shown(r.Function)
		return text + "; " + t.peer() + " has had " + string(s.cfg.Sched.AppendHandle(nil, r.Job)) + " of " + of + " for " + t.length() + "."
	case sched.CauseWoken:
		return t.workers("was", "were") + " sent NOOP " + t.longest("ago", "up to %s ago, "+t.peer()+" first") +
			t.has(" and has", ", and have") + " not asked for a job since."
	case sched.CauseAsleep:
		return t.workers("sleeps", "sleep") + " and" + t.has(" has", " have") + " not been sent NOOP yet."
	case sched.CauseNotAsking:
		return t.workers("is", "are") + " awake without a job and" + t.has(" does", " do") + " not ask for one; " + t.peer() + " asked last " + t.ago() + "."
	case sched.CauseUnwanted:
		return "All clients that waited for the job have gone: it will be dropped when its turn comes."
	case sched.CauseRunning:
		return t.running()
	case sched.CauseNothing:
		text := "No job of " + name + " waits"
		if r.Count > 0 {
			text += "; " + count(r.Count, "is", "are") + " running"
		}
		return text + "."
	}
	return r.Cause.String()
}

func (t *phrasing) running() string {
	r := t.reason
	text := "Worker " + t.peer() + " has had it for " + t.length() + "."
	if r.Numerator != "" || r.Denominator != "" {
		text += " It said last: " + r.Numerator + " of " + cmp.Or(r.Denominator, "?") + "."
	}
	if !r.Until.IsZero() {
		text += " Its time is up in " + length(r.Until.Sub(t.now)) + "."
	}
	if r.GivenUp {
		text += " The job was given up: nobody hears of it any more, and the worker goes on."
	}
	return text
}

// setting describes an operator's setting.
func (t *phrasing) setting(what, so string) string {
	r := t.reason
	name := shown(t.function)
	text := name + " was " + what
	if r.By != "" {
		text += " by " + r.By
	}
	text += " " + t.ago()
	if !r.Until.IsZero() {
		text += " until " + r.Until.UTC().Format(time.RFC3339)
	}
	if r.Text != "" {
		text += " (" + r.Text + ")"
	}
	return text + ": " + so + "."
}

// peer names the reason's peer.
func (t *phrasing) peer() string { return addressOf(t.reason.Peer) + id(t.reason.ClientID) }

func id(clientID string) string {
	if clientID = named(clientID); clientID == "" {
		return ""
	}
	return " " + strconv.Quote(clientID)
}

func (t *phrasing) workers(one, many string) string {
	return count(t.reason.Count, "worker "+one, "workers "+many)
}

func (t *phrasing) has(one, many string) string {
	if t.reason.Count == 1 {
		return one
	}
	return many
}

// longest describes one connection directly, or the first of several.
func (t *phrasing) longest(ago, first string) string {
	if t.reason.Count == 1 {
		return t.length() + " " + ago
	}
	return fmt.Sprintf(first, t.length())
}

func (t *phrasing) length() string { return length(t.now.Sub(t.reason.Since)) }
func (t *phrasing) ago() string    { return t.length() + " ago" }

func (t *phrasing) sinceComma() string {
	if t.reason.Since.IsZero() {
		return ""
	}
	return ", for " + t.length()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// length formats a duration for people: two units at most.
func length(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %02d h", int(d.Hours())/24, int(d.Hours())%24)
}
