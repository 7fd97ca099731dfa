package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// format is the version of what is written. A directory with a larger one is refused; one with a smaller one
// opens, for ever.
//
// A change that earlier versions of the program read over without harm needs no new format: a field of META,
// the end of a job that never was, an update of one (priorityMark). Then they can open the directory as well,
// and an upgrade can be taken back. For any other change:
//
//  1. Freeze a directory as the last version with the old format leaves it, in order and killed, with jobs of
//     every kind, and what its dump says: testdata/format<N>-*.tar.gz, an entry in TestFrozenDirectories. See that
//     the test passes before anything is changed.
//  2. Raise Format by one. META keeps its shape (two places of a line of JSON and its checksum, "format" and
//     "turn" in it), so that every version can tell that a directory is too new for it.
//  3. Read both: what is read depends on the format in META, which is the old one until the first write. Write the
//     new one only: Open begins a segment and writes META each time, and META must say the new format before
//     anything of it is in a segment.
//  4. Say in CHANGELOG and docs/durable.md from which version on a directory can't go back, and that
//     "gearloop store dump" of the new version and "import" of the old one is the way back.
const format = 1

const (
	metaName  = "META"
	metaNew   = metaName + newSuffix
	lockName  = "LOCK"
	probeName = "PROBE"

	// metaSlot is the size of each of the two places in META. They are overwritten in turn, which needs no room,
	// so that segments can be dropped on a full disk.
	metaSlot = 4096
)

// meta is the content of META: a line of JSON and its checksum.
type meta struct {
	Format     int    `json:"format"`
	Turn       uint64 `json:"turn"`          // the place with the larger one counts; the next write goes to the other
	Generation uint64 `json:"generation"`    // generation that Run is in, see runs.go
	Run        uint64 `json:"run,omitempty"` // the last run opened; 0 = none since runs exist
	First      uint64 `json:"first"`         // oldest segment that counts
	Last       uint64 `json:"last"`          // newest segment that must exist; 0 = none
	Synced     int64  `json:"synced"`        // bytes of it that are synced

	// End is how many bytes of the newest segment count, if the rest was refused and no newer segment could be
	// written that records this; otherwise 0. Earlier versions of the program ignore it.
	End int64 `json:"end,omitempty"`
}

// limit returns how many bytes of a segment count according to META.
func (m *meta) limit(segment uint64) int64 {
	if segment == m.Last && m.End > 0 {
		return m.End
	}
	return noLimit
}

var (
	errNoMeta  = errors.New("is missing or malformed")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func (m *meta) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	b = fmt.Appendf(b, " %08x", crc32.Checksum(b, castagnoli))
	b = append(b, bytes.Repeat([]byte{' '}, metaSlot-1-len(b))...)
	return append(b, '\n'), nil
}

// decode decodes one of the two places. Those of newer formats have the same shape.
func (m *meta) decode(b []byte) bool {
	line, ended := bytes.CutSuffix(b, []byte("\n"))
	line = bytes.TrimRight(line, " ")
	at := bytes.LastIndexByte(line, ' ')
	return ended && at > 0 && fmt.Sprintf("%08x", crc32.Checksum(line[:at], castagnoli)) == string(line[at+1:]) &&
		json.Unmarshal(line[:at], m) == nil && m.Format >= 1
}

// readMeta returns errNoMeta if there is no valid one.
func readMeta(fs vfs.FS, dir string) (m meta, err error) {
	f, err := fs.Open(fs.PathJoin(dir, metaName))
	if errors.Is(err, os.ErrNotExist) {
		return m, errNoMeta
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return m, err
	}
	found := false
	for ; len(b) >= metaSlot; b = b[metaSlot:] {
		var one meta
		if one.decode(b[:metaSlot]) && (!found || one.Turn > m.Turn) {
			m, found = one, true
		}
	}
	if !found {
		return m, errNoMeta
	}
	if m.Format > format {
		return m, fmt.Errorf("%w: it is %d, this program knows %d", store.ErrNewer, m.Format, format)
	}
	return m, nil
}

// writeMeta writes META, durably. META exists already unless m.Turn is 1.
func writeMeta(fs vfs.FS, dir string, m meta) (err error) {
	if m.Turn == 1 {
		return makeMeta(fs, dir, m)
	}
	f, err := fs.OpenReadWrite(fs.PathJoin(dir, metaName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	err = m.writeTo(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// writeTo writes one of the two places of META, durably.
func (m *meta) writeTo(f vfs.File) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	n, err := f.WriteAt(b, int64(m.Turn%2)*metaSlot)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.SyncData()
	}
	return err
}

// makeMeta creates the file, with one place unused.
func makeMeta(fs vfs.FS, dir string, m meta) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	temporary := fs.PathJoin(dir, metaNew)
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = wholeWrites{f}.Write(append(bytes.Repeat([]byte{' '}, metaSlot), b...))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = fs.Rename(temporary, fs.PathJoin(dir, metaName))
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	return err
}

// makeDir creates the directory if necessary, durably.
func makeDir(fs vfs.FS, dir string) error {
	above := []string{fs.PathDir(fs.PathJoin(dir))}
	for {
		at := above[len(above)-1]
		if _, err := fs.Stat(at); err == nil || at == fs.PathDir(at) {
			break
		}
		above = append(above, fs.PathDir(at))
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, at := range above {
		// A process that may not read a directory has not created anything in it.
		if err := syncDir(fs, at); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
