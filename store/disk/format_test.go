package disk

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// unpacked returns a copy of a directory that an earlier version of the program wrote.
func unpacked(t *testing.T, archive string) (dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", archive))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for in := tar.NewReader(packed); ; {
		h, err := in.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.FileInfo().IsDir() {
			continue
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A version that gave a segment its name before the segment was complete was killed while it stored 900 jobs,
// a third of which had ended, and again at the third write of its next start. The jobs are in the segment
// before.
func TestKilledTwiceByEarlierVersion(t *testing.T) {
	dir := unpacked(t, "format1-killed-twice.tar.gz")
	if report, err := Check(dir); err != nil || report.Jobs != 600 || len(report.Damage) > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
	for range 2 {
		d := open(t, Options{Dir: dir})
		jobs := load(t, d)
		if len(jobs) != 600 {
			t.Fatalf("%d jobs, want 600", len(jobs))
		}
		for i, job := range jobs {
			if want := 1<<46 + uint64(i/2*3+i%2+1); job.Number != want {
				t.Fatalf("job %d has number %d, want %d", i, job.Number, want)
			}
		}
		closeStore(t, d)
	}
}

// A start removes files that a killed process had not completed.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, Options{Dir: dir}))
	left := []string{"PROBE", "META.new", "0000000002.log.new", "0000000077.log.new"}
	others := []string{"PROBE.old", "notes", "x.log.new"}
	for _, name := range append(left, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, Options{Dir: dir})
	load(t, d)
	closeStore(t, d)
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Error(name, "is still there")
		}
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
