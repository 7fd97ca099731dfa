package admin

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
)

// TestProtocolPage: docs/protocol.md names every packet, every text command and every error of both dialects,
// and the numbers of its table of limits are those of the code.
func TestProtocolPage(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	section := func(heading string) string {
		_, rest, ok := strings.Cut(page, "\n## "+heading+"\n")
		if !ok {
			t.Fatalf("no section %s", heading)
		}
		rest, _, _ = strings.Cut(rest, "\n## ")
		return rest
	}
	for n := codec.Type(1); n < 64; n++ {
		if n.Known() && !strings.Contains(page, n.String()) {
			t.Errorf("no word of %v", n)
		}
	}
	for name := range commands {
		if !strings.Contains(section("Text commands"), "| `"+name) {
			t.Errorf("the table of text commands has no %s", name)
		}
	}
	for _, name := range dialect.Names() {
		d, err := dialect.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		errors := map[string]dialect.Error{"NotWorker": d.NotWorker(codec.WorkComplete)}
		for v, i := reflect.ValueOf(*d), 0; i < v.NumField(); i++ {
			if e, ok := v.Field(i).Interface().(dialect.Error); ok && e.Code != "" {
				errors[v.Type().Field(i).Name] = e
			}
		}
		for field, e := range errors {
			if !strings.Contains(section("Errors")+section("Text commands"), "`"+e.Code+"`") {
				t.Errorf("%s: no word of %s, which is %s", name, e.Code, field)
			}
		}
	}
	for row, bound := range map[string]int{
		"function name, reducer":           sched.MaxFunction,
		"unique id":                        sched.MaxUnique,
		"handle":                           sched.MaxHandle - 1,
		"client id":                        sched.MaxClientID,
		"numbers of WORK_STATUS":           sched.MaxStatusNumber,
		"what an error repeats":            sched.MaxEcho,
		"text line":                        codec.MaxLine,
		"functions of one worker":          sched.MaxAbilities,
		"jobs that one worker has in hand": sched.MaxDoing,
		"submissions that join one job":    sched.MaxListeners,
		"jobs that one connection joined":  sched.MaxJoins,
		"background submissions that wait": sched.MaxWaiters,
	} {
		number := fmt.Sprint(bound)
		switch {
		case bound%1024 == 0 && bound < 16384:
			number = fmt.Sprint(bound/1024) + " KiB"
		case bound >= 1000:
			number = fmt.Sprintf("%d,%03d", bound/1000, bound%1000)
		}
		if _, rest, ok := strings.Cut(section("Limits"), "\n| "+row); !ok || !strings.Contains(strings.SplitN(rest, "\n", 2)[0], number) {
			t.Errorf("the table of limits does not say %s for %q", number, row)
		}
	}
	for what, text := range map[string]string{
		"unique ids of c":  fmt.Sprintf("| unique id | 65,536 bytes | %d bytes |", dialect.C.MaxUnique),
		"client ids of c":  fmt.Sprintf("| as it is, %d bytes, up to its first NUL |", dialect.C.MaxClientID),
		"the limit of c":   fmt.Sprintf("more than %d characters", dialect.C.Limit.Longest),
		"sleepers of perl": "three, and three more every 0.1 s",
		"version of c":     "`" + strings.TrimSpace(strings.TrimPrefix(dialect.C.Version(""), "OK ")) + "`",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("%s: no %q", what, text)
		}
	}
}
