package main

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"gearloop/sched"
)

// The log says once when submissions begin to be refused and once when that is over, for each reason.
func TestRefusalsAreLogged(t *testing.T) {
	var log bytes.Buffer
	w := refusalWatch{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	var refused [sched.Refusals]uint64
	said := func(step string, want ...string) {
		t.Helper()
		w.look(now, refused)
		lines := strings.Split(strings.TrimSpace(regexp.MustCompile(`time=\S+ level=WARN msg=`).ReplaceAllString(log.String(), "")), "\n")
		if got := strings.Join(lines, "; "); got != strings.Join(want, "; ") {
			t.Errorf("%s: the log says %q, want %q", step, got, want)
		}
		log.Reset()
		now = now.Add(refusalsEvery)
	}
	said("nothing was refused")
	refused[sched.NoMemory] = 3
	refused[sched.StoreFails] = 5 // has its own line
	said("first", `"submissions are refused: jobs take what --max-memory leaves to them" reason=memory refused=3`)
	refused[sched.NoMemory] = 10
	refused[sched.QueueFull] = 1
	said("more", `"submissions are refused: a function has as many jobs as its maxqueue allows" reason=maxqueue refused=1`)
	now = now.Add(refusalsOver - 3*refusalsEvery)
	refused[sched.QueueFull] = 2
	said("not yet")
	now = now.Add(refusalsEvery)
	said("over", `"no submission has been refused for a while" reason=memory for=30s refused=10`)
	now = now.Add(refusalsOver)
	said("the other", `"no submission has been refused for a while" reason=maxqueue for=30s refused=2`)
	refused[sched.NoMemory] = 11
	said("again", `"submissions are refused: jobs take what --max-memory leaves to them" reason=memory refused=1`)
}
