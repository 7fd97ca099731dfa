package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// story generates a random scenario. It avoids what docs/deviations.md describes and what is undetermined in
// the references; the comments say which.
type story struct {
	rng   *rand.Rand
	isC   bool // the dialect
	lines []string

	functions []string
	workers   []string // act as workers: they sleep, ask and report
	clients   []string // stay to the end
	guests    []string // submit jobs that they share with nobody, and disconnect
	grabbers  []string // ask for jobs without sleeping, and disconnect with what they have
	named     int      // number of guests and grabbers so far
	made      int      // submissions
	left      bool     // a guest has disconnected

	// guestsCome: use guests, and no grabbers. In c a job whose client has gone stays until a worker asks for
	// it, even when its worker has gone.
	guestsCome bool
}

// newStory generates the scenario of a seed.
func newStory(dialect string, seed uint64) []string {
	s := &story{
		rng: rand.New(rand.NewPCG(seed, 7)), isC: dialect == "c",
		workers: []string{"w1", "w2", "w3"}, clients: []string{"c1", "c2"},
	}
	names := []string{"f", "g", `"resize image"`, `"\xc3\xa4"`, "0", "Name::Space"}
	s.rng.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	s.functions = names[:1+s.rng.IntN(3)]
	s.guestsCome = s.rng.IntN(2) == 0
	if s.isC && s.rng.IntN(4) == 0 {
		s.add("options --job-retries %d", 1+s.rng.IntN(3))
	}
	if s.isC && s.rng.IntN(4) == 0 {
		s.add("options --round-robin")
	}
	s.add("open c1 c2 w1 w2 w3")
	for _, w := range s.workers {
		s.declare(w, s.function())
	}
	for range 60 + s.rng.IntN(60) {
		s.step()
	}
	for _, c := range s.clients {
		s.add("%s text status", c)
	}
	return s.lines
}

func (s *story) add(format string, a ...any) { s.lines = append(s.lines, fmt.Sprintf(format, a...)) }

func (s *story) of(from ...string) string { return from[s.rng.IntN(len(from))] }

func (s *story) function() string { return s.of(s.functions...) }

func (s *story) argument() string {
	return s.of(`""`, "x", "0", `"a\0b"`, `"\0"`, `"\n"`, `"\xff\xfe"`, "@3KiB", `"\0REQ\0\0\0\x04\0\0\0\0"`)
}

// handle returns a job that may exist, have ended, or never have existed.
func (s *story) handle() string {
	if s.made == 0 || s.rng.IntN(12) == 0 {
		return s.of("H:nobody:7", `""`, "x", `$H1+"x"`, `"H:nobody:"`)
	}
	return fmt.Sprintf("$H%d", 1+s.rng.IntN(s.made))
}

// step adds an action of one connection, or two that belong together.
func (s *story) step() {
	switch n := s.rng.IntN(100); {
	case n < 24:
		s.submits(s.of(s.clients...), true)
	case n < 46:
		s.add("%s work %s", s.of(s.workers...), s.grab())
	case n < 64:
		s.reports(s.of(s.workers...))
	case n < 68 && !(s.isC && s.guestsCome):
		s.declare(s.of(s.workers...), s.function())
	case n < 79 && s.guestsCome:
		s.guest()
	case n < 79:
		s.grabber()
	case n < 84:
		s.asks(s.of(append(slices.Clone(s.clients), s.workers...)...))
	case n < 88:
		s.lies(s.of(append(slices.Clone(s.clients), s.workers...)...))
	case n < 92:
		s.pipeline()
	default:
		s.text(s.of(s.clients...))
	}
}

func (s *story) grab() string {
	if s.isC {
		return s.of("GRAB_JOB", "GRAB_JOB_UNIQ", "GRAB_JOB_ALL")
	}
	return "GRAB_JOB"
}

// declare registers or unregisters a function. In the reference perl it is undetermined which of its
// functions a worker is asked for first, so there it has one, and one unregistered during its sleep would
// still count. In c a function registered twice counts twice, a job given up wakes the worker that gave it
// up, and several are queued again in another order.
func (s *story) declare(w, f string) {
	switch {
	case s.isC && s.rng.IntN(4) == 0:
		s.add("%s toggle %s %s", w, f, s.of("0", "-1", "600000", `""`))
	case s.isC:
		s.add("%s toggle %s", w, f)
	case s.rng.IntN(4) == 0:
		s.add("%s awake RESET_ABILITIES", w)
		s.add("%s awake CAN_DO_TIMEOUT %s %s", w, f, s.of("600", "1e9", `""`, `"1000 x"`))
	default:
		s.add("%s awake RESET_ABILITIES", w)
		s.add("%s awake CAN_DO %s", w, f)
	}
}

// submits adds a submission. shared: it may join a job of another connection. With the unique id "-" an empty
// argument never ends for the reference perl, and one with control characters changes its tables. In c
// background submissions join no others, because the first one decides what the job is, and an id is used for
// one function only, because GET_STATUS_UNIQUE may report any of several.
func (s *story) submits(c string, shared bool) {
	s.made++
	kinds := []string{"SUBMIT_JOB", "SUBMIT_JOB", "SUBMIT_JOB", "SUBMIT_JOB_BG", "SUBMIT_JOB_HIGH"}
	if s.isC {
		kinds = append(kinds, "SUBMIT_JOB_HIGH_BG", "SUBMIT_JOB_LOW", "SUBMIT_JOB_LOW_BG", "SUBMIT_REDUCE_JOB", "SUBMIT_REDUCE_JOB_BACKGROUND", "SUBMIT_JOB_EPOCH")
	}
	kind, function, argument := s.of(kinds...), s.function(), s.argument()
	if shared && !s.isC && len(s.grabbers) > 0 && s.rng.IntN(2) == 0 {
		function = s.grabbed()[0]
	}
	unique := `""`
	if shared && s.rng.IntN(2) == 0 {
		unique = s.unique(function, kind)
		switch {
		case unique != "-":
		case s.isC:
			argument = s.of("x", "0", "@3KiB", `"a\0\n"`) + `+"` + kind + `"`
		default:
			argument = s.of("x", "0")
		}
	}
	switch kind {
	case "SUBMIT_REDUCE_JOB", "SUBMIT_REDUCE_JOB_BACKGROUND":
		s.add(`%s %s %s %s %s "" %s`, c, kind, function, unique, s.of("r", `""`, "0"), argument)
	case "SUBMIT_JOB_EPOCH":
		// A submission for a later time blocks the reference.
		s.add("%s %s %s %s %s %s", c, kind, function, unique, s.of("0", "1", "1000000000", "-5", `" 7x"`, `""`), argument)
	default:
		s.add("%s %s %s %s %s", c, kind, function, unique, argument)
	}
}

// unique returns a unique id for a job of a function, for a kind of packet.
func (s *story) unique(function, kind string) string {
	if s.rng.IntN(6) == 0 {
		return "-"
	}
	id := s.of(`"u1"`, `"u2"`, `"0"`, `"two words"`, `"\xff\xfe"`, `"x"*61`)
	if s.isC {
		background := strings.HasSuffix(kind, "_BG") || strings.HasSuffix(kind, "_BACKGROUND") || kind == "SUBMIT_JOB_EPOCH"
		id += fmt.Sprintf(`+"%d%d"`, slices.Index(s.functions, function), map[bool]int{true: 1}[background])
	}
	return id
}

// reports adds a packet from a worker about its job.
func (s *story) reports(w string) {
	switch n := s.rng.IntN(10); {
	case n < 5:
		s.add("%s report WORK_COMPLETE %s", w, s.argument())
	case n < 6:
		s.add("%s report WORK_FAIL", w)
	case n < 7:
		s.add("%s report WORK_EXCEPTION %s", w, s.argument())
	case n < 9 || !s.isC:
		s.add("%s report WORK_STATUS %s", w, s.of("1 2", "0 0", "50 100", `"" ""`, `x y`, "-1 7", `" 3" 4z`, "4294967297 1"))
	default:
		s.add("%s report %s %s", w, s.of("WORK_DATA", "WORK_WARNING"), s.argument())
	}
}

// lies adds a report about a job that most likely belongs to another worker. In ours WORK_EXCEPTION alone
// ends a job, and in c ours accepts a WORK_FAIL of the worker after it.
func (s *story) lies(c string) {
	switch n := s.rng.IntN(3); {
	case n == 0:
		s.add("%s WORK_STATUS %s 1 2", c, s.handle())
	case n == 1 && !(s.isC && slices.Contains(s.workers, c)):
		h := `"h"*64`
		if !s.isC || !slices.Contains(s.workers, c) { // a worker's own job may have ended with an exception
			h = s.of(s.handle(), s.handle(), h)
		}
		s.add("%s WORK_FAIL %s", c, h)
	default:
		s.add("%s WORK_COMPLETE %s x", c, s.handle())
	}
}

// guest makes a guest connect, submit, or disconnect. Jobs that others share with it are a deviation in c,
// and the reference perl still counts it as a listener afterwards.
func (s *story) guest() {
	switch {
	case len(s.guests) == 0:
		s.named++
		s.guests = append(s.guests, fmt.Sprintf("guest%d", s.named))
		s.add("open %s", s.guests[0])
		fallthrough
	case s.rng.IntN(2) == 0:
		s.submits(s.guests[0], false)
	default:
		s.add("%s %s", s.guests[0], s.of("close", "close", "reset"))
		s.guests, s.left = nil, true
	}
}

// grabbed returns the functions of grabbers. In perl nobody else uses them, because when one disconnects the
// reference forgets who sleeps for its functions.
func (s *story) grabbed() []string {
	if s.isC {
		return s.functions
	}
	return []string{"taken"}
}

// grabber makes a grabber connect, grab jobs without sleeping, or disconnect with them.
func (s *story) grabber() {
	switch {
	case len(s.grabbers) == 0:
		s.named++
		s.grabbers = append(s.grabbers, fmt.Sprintf("taker%d", s.named))
		s.add("open %s", s.grabbers[0])
		s.declare(s.grabbers[0], s.of(s.grabbed()...))
	case s.rng.IntN(3) > 0:
		// If a worker with several jobs disconnects, in perl the order of the reports is undetermined, and in c the
		// order in which they are queued again is a deviation.
		s.add("%s report WORK_COMPLETE %s", s.grabbers[0], s.argument())
		s.add("%s %s", s.grabbers[0], s.grab())
		if s.rng.IntN(3) == 0 {
			s.reports(s.grabbers[0])
		}
	default:
		s.add("%s %s", s.grabbers[0], s.of("close", "close", "reset"))
		s.grabbers = nil
	}
}

// asks adds a question that changes almost nothing.
func (s *story) asks(c string) {
	switch n := s.rng.IntN(6); {
	case n < 3:
		s.add("%s GET_STATUS %s", c, s.handle())
	case n == 3:
		s.add("%s OPTION_REQ %s", c, s.of("exceptions", "exceptions", "Exception", "0", `""`, "bogus"))
	case n == 4 && s.isC:
		s.add("%s GET_STATUS_UNIQUE %s", c, s.of("nobody", `""`, s.unique(s.function(), "SUBMIT_JOB"), s.unique(s.function(), "_BG")))
	case n == 4:
		s.add("%s SET_CLIENT_ID %s", c, s.of("me", `" a b "`, "0", `""`, `"\xff"`, `"id"*60`, map[bool]string{true: `"a\0b"+"c"*200`}[s.isC]))
	default:
		s.add("%s ECHO_REQ %s", c, s.of("x", `""`, `"\0"`, "@70KiB", `"0\n"`)) // the reference perl treats "0" as empty
	}
}

// pipeline makes a client send several packets in one write, or in pieces cut anywhere.
func (s *story) pipeline() {
	c := s.of(s.clients...)
	s.add("%s begin", c)
	from := len(s.lines)
	for range 2 + s.rng.IntN(3) {
		if s.rng.IntN(2) == 0 {
			s.submits(c, true)
		} else {
			s.add("%s %s", c, s.of("ECHO_REQ x", "GET_STATUS $H1", "OPTION_REQ bogus", "text version", "text maxqueue"))
		}
	}
	large := slices.ContainsFunc(s.lines[from:], func(l string) bool { return strings.Contains(l, "@") })
	switch {
	case large || s.rng.IntN(3) == 0:
		s.add("%s flush", c)
	case s.rng.IntN(3) == 0:
		s.add("%s flush cut %d %d", c, 1+s.rng.IntN(11), 12+s.rng.IntN(5))
	default:
		s.add("%s flush cut %d", c, 1+s.rng.IntN(16))
	}
}

// text adds a text command.
func (s *story) text(c string) {
	f := s.function()
	commands := []string{"status", "STATUS", "workers", "version", "maxqueue", "maxqueue nobody 3", `"status\r"`, "version x y",
		"maxqueue " + f, "maxqueue " + f + " 2", "maxqueue " + f + " 1", "maxqueue " + f + " -1"}
	if strings.Contains(f, " ") {
		commands = commands[:8] // the argument would be two words
	}
	switch {
	case s.isC:
		commands = append(commands, "prioritystatus", `"show jobs"`, `"show unique jobs"`, "show", "show x", "cancel job nobody", "cancel",
			`"create function k\r"`, "create", "drop function nobody", "drop x", "getpid", "bogus", `""`, "jobs2", `" status"`)
	case !s.left:
		commands = append(commands, "jobs", "clients", `"shutdown x"`)
	}
	s.add("%s text %s", c, s.of(commands...))
}
