package disk

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/store/transfer"
)

// Dump writes the jobs in a directory that no broker has open to w, one JSON object a line, in the order in
// which they were submitted, behind the settings of functions. Of a damaged directory it writes what can be
// read, and returns an error that wraps a *DamageError.
func Dump(dir string, w io.Writer, watch ...Watch) error { return dump(watched(watch), dir, w) }

func dump(fs vfs.FS, dir string, w io.Writer) error {
	if err := exists(fs, dir); err != nil {
		return err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return err
	}
	defer l.Close()
	state, jobs, err := directory(fs, dir, true)
	if err != nil {
		return err
	}
	lost := map[string]bool{}
	for _, d := range state.damage {
		lost[d.File] = true
	}
	out := transfer.NewWriter(w)
	document, err := loadSettings(fs, dir)
	if err == nil && document != nil {
		err = out.Settings(document, "")
	}
	badSettings := err
	if err != nil {
		badSettings = fmt.Errorf("%s: %w; the settings of functions are left out", fs.PathJoin(dir, SettingsName), err)
	}
	for _, number := range inOrder(jobs) {
		f := jobs[number]
		e, _, err := cutEntry(f.raw)
		if err != nil {
			return err
		}
		job := store.Job{
			Number: e.number, Function: string(e.function), Unique: string(e.unique), Reducer: string(e.reducer),
			Priority: f.priority, Retries: f.retries, Due: e.due, Argument: [][]byte{e.argument},
		}
		if e.number&noHandle != 0 {
			job.Number = 0
		}
		var argument func(io.Writer) error
		if name := argumentName(number); f.large {
			if lost[name] {
				continue
			}
			argument = func(w io.Writer) error { return readArgument(fs, fs.PathJoin(dir, name), f.size, w) }
		}
		if err := out.Job(&job, argument); err != nil {
			return err
		}
		f.raw = nil
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(state.damage) > 0 {
		return errors.Join(&DamageError{Dir: dir, Damage: state.damage}, badSettings)
	}
	return badSettings
}
