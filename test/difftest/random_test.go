package difftest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/test/await"
	"gearloop/test/peers"
)

const (
	// seedsVariable: the number of seeds that TestRandom plays for each dialect, or one seed as "=17".
	seedsVariable = "GEARLOOP_DIFFTEST_SEEDS"
	// shrinkVariable: shorten a story that differs as far as possible, which takes a while.
	shrinkVariable = "GEARLOOP_DIFFTEST_SHRINK"
	usualSeeds     = 20
)

// TestRandom plays random stories to the reference and to Gearloop. The stories avoid the deviations of
// docs/deviations.md, so nothing may differ: chance decides who sends which packet when, not what is legal.
// Add what it finds as a scenario.
func TestRandom(t *testing.T) {
	from, to := 1, usualSeeds
	if v, ok := os.LookupEnv(seedsVariable); ok {
		one, isOne := strings.CutPrefix(v, "=")
		n, err := strconv.Atoi(one)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q: a number of seeds, or = and a seed", seedsVariable, v)
		}
		if to = n; isOne {
			from = n
		}
	}
	for _, su := range suites {
		t.Run(su.dialect, func(t *testing.T) {
			for seed := from; seed <= to; seed++ {
				t.Run(strconv.Itoa(seed), func(t *testing.T) {
					t.Parallel()
					su.random(t, uint64(seed))
				})
			}
		})
	}
}

func (su suite) random(t *testing.T, seed uint64) {
	story := newStory(su.dialect, seed)
	difference := su.differs(t, story)
	if difference == "" {
		return
	}
	if os.Getenv(shrinkVariable) != "" {
		story, difference = su.shrink(t, story, difference)
	}
	t.Errorf("seed %d: the transcripts differ (%s=%s makes the story shorter):\n%s\nthe story:\n%s",
		seed, shrinkVariable, "1", difference, strings.Join(story, "\n"))
}

// shrink removes lines while the rest still differs.
func (su suite) shrink(t *testing.T, story []string, difference string) ([]string, string) {
	for size := len(story) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(story); {
			shorter := slices.Delete(slices.Clone(story), at, at+size)
			if d := su.differs(t, shorter); d != "" && !strings.HasPrefix(d, "reference: ") {
				story, difference = shorter, d
			} else {
				at += size
			}
		}
	}
	return story, difference
}

// differs plays a story to both servers and returns the first difference, "" if there is none.
func (su suite) differs(t *testing.T, story []string) string {
	sc, err := parseScenario("random", strings.Join(story, "\n"))
	if err != nil {
		return "reference: no scenario: " + err.Error()
	}
	sc.unordered, sc.exceptionEnds, sc.lenient = su.unordered, su.exceptionEnds, true
	texts, errs := map[side]string{}, map[side]error{}
	servers := map[side]*peers.Server{}
	for _, s := range []side{reference, ours} {
		servers[s] = su.start(t, sc, s)
		out, err := play(sc, s, servers[s])
		texts[s], errs[s] = sc.comparable(out), err
		if s == reference {
			servers[s].Signal(syscall.SIGKILL) // the reference c sometimes needs long to handle SIGTERM
			servers[s].Wait(await.Limit)
		}
		servers[s].Stop()
		if err != nil && s == reference {
			return fmt.Sprintf("reference: %v\n%s", err, texts[s])
		}
	}
	if errs[ours] != nil {
		return fmt.Sprintf("ours: %v\n%s", errs[ours], differences("reference", texts[reference], "ours", texts[ours]))
	}
	return differences("reference", texts[reference], "ours", texts[ours])
}
