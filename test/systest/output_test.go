package systest

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// Every line of the log is a record with time, level and message, in both formats, whatever peers send.
func TestLogs(t *testing.T) {
	t.Parallel()
	for form, parse := range map[string]func(string) (map[string]string, error){"text": logfmt, "json": jsonRecord} {
		s := peers.Start(t, peers.Gearloop, "--log-format", form, "--log-level", "debug")
		c := wire.Dial(t, s.Addr)
		c.Raw([]byte("\x00\"garbage\n= x=y\x1b[1m"))
		c.WantError("invalid_magic")
		c.Close()
		waits := wire.Dial(t, s.Addr)
		waits.Submit(codec.SubmitJobBg, "with \"quotes\" and = blanks", "", "x")
		s.Signal(syscall.SIGTERM)
		awaitLog(t, s, "queued")
		s.Signal(syscall.SIGTERM)
		ended(t, s, 0)
		messages := map[string]bool{}
		for line := range strings.Lines(s.Stderr()) {
			record, err := parse(line)
			if err != nil {
				t.Errorf("%s: %q: %v", form, line, err)
				continue
			}
			_, err = time.Parse(time.RFC3339Nano, record["time"])
			if err != nil || record["level"] == "" || record["msg"] == "" {
				t.Errorf("%s: %q lacks time, level or message (%v)", form, line, err)
			}
			messages[record["msg"]] = true
		}
		for _, want := range []string{"started", "ending at once", "ended"} {
			if !messages[want] {
				t.Errorf("%s: no message %q in\n%s", form, want, s.Stderr())
			}
		}
	}
}

func jsonRecord(line string) (map[string]string, error) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		return nil, err
	}
	record := map[string]string{}
	for key, value := range fields {
		if text, ok := value.(string); ok {
			record[key] = text
		}
	}
	return record, nil
}

// logfmt reads key=value pairs with blanks between them; values may be quoted.
func logfmt(line string) (map[string]string, error) {
	record := map[string]string{}
	rest := strings.TrimSuffix(line, "\n")
	for rest != "" {
		key, after, found := strings.Cut(rest, "=")
		if !found || key == "" || strings.ContainsAny(key, " \"") {
			return nil, strconv.ErrSyntax
		}
		var value string
		if strings.HasPrefix(after, `"`) {
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				return nil, err
			}
			rest = after[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
		} else {
			value, _, _ = strings.Cut(after, " ")
			rest = after[len(value):]
		}
		if rest != "" && !strings.HasPrefix(rest, " ") {
			return nil, strconv.ErrSyntax
		}
		record[key], rest = value, strings.TrimPrefix(rest, " ")
	}
	return record, nil
}

// The server serves although nobody reads its output and log, from the beginning or from some moment on.
func TestBrokenPipes(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the start", "later"} {
		socket := filepath.Join(t.TempDir(), "socket")
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if when == "before the start" {
			read.Close()
		}
		cmd := command(peers.Binary(t), nil, "serve", "--listen", "unix:"+socket, "--log-level", "debug")
		cmd.Stdout, cmd.Stderr = write, write
		p := launch(t, cmd)
		write.Close()
		wire.Await(t, "it listens", func() bool {
			c, err := net.Dial("unix", socket)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if when == "later" {
			var printed []byte
			wire.Await(t, "it says so", func() bool {
				buf := make([]byte, 1<<10)
				n, _ := read.Read(buf)
				printed = append(printed, buf[:n]...)
				return bytes.Contains(printed, []byte("listening on"))
			})
			read.Close()
		}
		for range 20 {
			c := wire.Dial(t, "unix:"+socket)
			c.Raw([]byte("\x00makes it log "))
			c.WantError("invalid_magic")
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		if r := p.wait(); r.code != 0 {
			t.Errorf("%s: exit status %d", when, r.code)
		}
	}
}
