package transfer

import (
	"errors"
	"strings"
	"testing"

	"gearloop/store"
)

// brokenStore takes no jobs, and its importer says so at each call.
type brokenStore struct{ add, end error }

func (b brokenStore) Add(*store.Job, func(error)) error { return b.add }
func (b brokenStore) SetSettings([]byte, string) error  { return nil }
func (b brokenStore) Close() (int, int, error)          { return 0, 0, b.end }

// What ends an import is said once, though Add and Close both report it.
func TestErrorOfImport(t *testing.T) {
	gone, other := errors.New("the database is gone"), errors.New("the last batch was not stored")
	for _, c := range []struct {
		add, end error
		want     string
	}{
		{gone, errors.New(gone.Error()), "the database is gone"},
		{gone, nil, "the database is gone"},
		{nil, gone, "the database is gone"},
		{gone, other, "the database is gone\nthe last batch was not stored"},
	} {
		_, err := Import(strings.NewReader(`{"function":"f"}`+"\n"), brokenStore{c.add, c.end}, func(error) {})
		if err == nil || err.Error() != c.want {
			t.Errorf("%v and %v: %v, want %q", c.add, c.end, err, c.want)
		}
	}
}
