package difftest

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"gearloop/test/peers"
)

// suite is a directory of scenarios with the server to compare with.
type suite struct {
	reference peers.Kind
	// dialect is Gearloop's --dialect, and the name of the directory.
	dialect string
	// atLeast is the minimum number of scenarios, to detect missing ones.
	atLeast int
	// unordered: the reference's lists have no defined order.
	unordered bool
	// exceptionEnds: WORK_EXCEPTION ends a job.
	exceptionEnds bool
}

var suites = []suite{
	{reference: peers.Perl, dialect: "perl", atLeast: 120},
	{reference: peers.C, dialect: "c", atLeast: 190, unordered: true, exceptionEnds: true},
}

const (
	selfCheckVariable = "GEARLOOP_DIFFTEST_SELFCHECK"
	showVariable      = "GEARLOOP_DIFFTEST_SHOW"
	deviationsFile    = "../../docs/deviations.md"
)

// TestMain plays twice as many stories in parallel as there are processors, unless -parallel is given: they
// mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// TestScenarios plays every scenario to the reference and to Gearloop.
func TestScenarios(t *testing.T) {
	for _, su := range suites {
		t.Run(su.dialect, func(t *testing.T) {
			su.each(t, su.compare)
		})
	}
}

// TestReferenceIsStable plays every scenario several times to the reference alone. It is for authors of
// scenarios, and runs only if the environment asks for it.
func TestReferenceIsStable(t *testing.T) {
	times, err := strconv.Atoi(os.Getenv(selfCheckVariable))
	if err != nil || times < 2 {
		t.Skipf("%s is not a number of at least 2", selfCheckVariable)
	}
	for _, su := range suites {
		t.Run(su.dialect, func(t *testing.T) {
			su.each(t, func(t *testing.T, sc *scenario) { su.selfCheck(t, sc, times) })
		})
	}
}

// TestDeviationsAreDescribed requires every deviation that a scenario allows to be in the document.
func TestDeviationsAreDescribed(t *testing.T) {
	ids, err := deviationIDs(deviationsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, su := range suites {
		for _, sc := range su.load(t) {
			for _, id := range sc.deviations {
				if !ids[id] {
					t.Errorf("%s/%s: %s has no heading ### %s", su.dialect, sc.name, deviationsFile, id)
				}
			}
		}
	}
}

func (su suite) load(t *testing.T) []*scenario {
	t.Helper()
	all, err := loadScenarios(filepath.Join("testdata", su.dialect))
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range all {
		sc.unordered = su.unordered
	}
	if len(all) < su.atLeast {
		t.Fatalf("%d scenarios of dialect %s, there should be %d at least", len(all), su.dialect, su.atLeast)
	}
	return all
}

func (su suite) each(t *testing.T, f func(*testing.T, *scenario)) {
	for _, sc := range su.load(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			f(t, sc)
		})
	}
}

func (su suite) start(t *testing.T, sc *scenario, s side) *peers.Server {
	if s == reference {
		return peers.Start(t, su.reference, sc.optionsFor(s)...)
	}
	args := []string{"--dialect", su.dialect}
	if su.reference == peers.C {
		args = append(args, "--wakeup-delay", "3600") // C has none: on a slow machine it would show
	}
	args = append(args, sc.optionsFor(s)...)
	if slices.ContainsFunc(sc.steps, func(st step) bool { return st.verb == "operator" }) {
		dir, err := os.MkdirTemp("", "difftest-") // t.TempDir is too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		args = append(args, socketFlag, filepath.Join(dir, "s"))
	}
	return peers.Start(t, peers.Gearloop, args...)
}

func (su suite) compare(t *testing.T, sc *scenario) {
	servers := map[side]*peers.Server{reference: su.start(t, sc, reference), ours: su.start(t, sc, ours)}
	type played struct {
		out transcript
		err error
	}
	results := map[side]chan played{reference: make(chan played, 1), ours: make(chan played, 1)}
	for s, result := range results {
		go func() {
			out, err := play(sc, s, servers[s])
			result <- played{out, err}
		}()
	}
	texts := map[side]string{}
	for _, s := range []side{reference, ours} {
		r := <-results[s]
		texts[s] = sc.comparable(r.out)
		logTranscript(t, s, texts[s])
		if r.err != nil {
			t.Errorf("%s: %v\nwhat had come:\n%s", s, r.err, r.out)
		}
	}
	if t.Failed() {
		return
	}
	if len(sc.deviations) == 0 {
		if d := differences(string(reference), texts[reference], string(ours), texts[ours]); d != "" {
			t.Errorf("the transcripts differ:\n%s\n---- reference\n%s\n---- ours\n%s", d, texts[reference], texts[ours])
		}
		return
	}
	if texts[reference] == texts[ours] {
		t.Errorf("the deviations %q no longer differ:\n%s", sc.deviations, texts[ours])
	}
	for s, want := range sc.expected {
		if d := differences("expected", want, "seen", texts[s]); d != "" {
			t.Errorf("%s is not as the scenario says:\n%s\n---- %s\n%s", s, d, s, texts[s])
		}
	}
}

func (su suite) selfCheck(t *testing.T, sc *scenario, times int) {
	first, known := sc.expected[reference]
	for n := range times {
		server := su.start(t, sc, reference)
		out, err := play(sc, reference, server)
		server.Stop()
		if n == 0 {
			logTranscript(t, reference, sc.comparable(out))
		}
		if err != nil {
			t.Fatalf("run %d: %v\nwhat had come:\n%s", n+1, err, out)
		}
		text := sc.comparable(out)
		if !known {
			first, known = text, true
		}
		if d := differences("before", first, "now", text); d != "" {
			t.Fatalf("run %d differs:\n%s\nwhole:\n%s", n+1, d, text)
		}
	}
}

func logTranscript(t *testing.T, s side, out string) {
	if os.Getenv(showVariable) != "" {
		t.Logf("---- %s\n%s", s, out)
	}
}
