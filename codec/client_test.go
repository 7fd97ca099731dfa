package codec

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadResponse reads every packet of a server, whole and cut at every byte.
func TestReadResponse(t *testing.T) {
	for _, w := range serverWires {
		want := w.want()
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(w.raw), "byte by byte": iotest.OneByteReader(strings.NewReader(w.raw)),
		} {
			got, err := ReadResponse(r, int64(want.Size))
			if err != nil || got.Type != want.Type || string(got.Data) != string(want.Data) {
				t.Errorf("%s, %s: %v, %v", w.name, name, got, err)
			}
		}
		for n := range len(w.raw) {
			end := io.ErrUnexpectedEOF
			if n == 0 {
				end = io.EOF
			}
			if got, err := ReadResponse(strings.NewReader(w.raw[:n]), anySize); err != end {
				t.Errorf("%s cut at byte %d: %v, %v", w.name, n, got, err)
			}
		}
		if want.Size > 0 {
			if _, err := ReadResponse(strings.NewReader(w.raw), int64(want.Size)-1); err != ErrTooLarge {
				t.Errorf("%s over the limit: %v", w.name, err)
			}
		}
	}
}

// TestReadResponseRefuses what no server sends, and says what came.
func TestReadResponseRefuses(t *testing.T) {
	for _, raw := range []string{"ERR unknown_command\r\n", "OK\r\n", "\x00REQ\x00\x00\x00\x10\x00\x00\x00\x00"} {
		_, err := ReadResponse(strings.NewReader(raw), anySize)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "no packet from a server") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestReadResponseTakesMemoryAsDataCome: an announcement alone reserves little.
func TestReadResponseTakesMemoryAsDataCome(t *testing.T) {
	raw := string(AppendHeader(nil, WorkComplete, 1<<30)) + "H:x:1"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadResponse(strings.NewReader(raw), 1<<31); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("took %d bytes for 5 of 1 GiB", took)
	}
}

// TestResponseArgs: the last argument has the rest.
func TestResponseArgs(t *testing.T) {
	r := Response{JobAssign, []byte("H:x:1\x00f\x00a\x00b")}
	if got := strings.Join(r.Args(3), "|"); got != "H:x:1|f|a\x00b" {
		t.Errorf("arguments %q", got)
	}
	if got := r.String(); got != `JOB_ASSIGN "H:x:1\x00f\x00a\x00b"` {
		t.Errorf("shown as %s", got)
	}
}
