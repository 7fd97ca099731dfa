package transfer

import (
	"errors"
	"fmt"
	"io"

	"gearloop/store"
)

// Imported is the result of an import.
type Imported struct {
	Jobs      int // added jobs
	LeftOut   int // lines or rows left out
	GivenAnew int // added jobs that got another handle than they came with
	Unranked  int // added jobs whose priority was unknown: it is normal now

	Settings bool // the settings of functions came along
}

// An ImportError says why a job cannot be imported. It does not affect other jobs.
type ImportError struct{ error }

// Unusable returns an ImportError.
func Unusable(why error) error { return ImportError{why} }

// Importer adds jobs from elsewhere to a store, behind the existing ones. Jobs that were added stay, whatever
// happens to later ones. It must be used by one goroutine.
type Importer interface {
	// Add adds a job. It assigns a new number if the job's is 0 or can't be used here. An ImportError concerns
	// this job alone; after any other error nothing can be added. If the store turns out later not to take the
	// job, refused is called with the reason during another Add or during Close. The argument must not change
	// until Close.
	Add(job *store.Job, refused func(why error)) error

	// SetSettings stores the settings of functions: of a node, or with "" of all that have no settings yet. A
	// store that has some keeps its own, and returns an ImportError.
	SetSettings(document []byte, node string) error

	// Close ends the import. It returns how many jobs were added, and how many of them got another number than
	// they came with. The error is that of the whole import.
	Close() (jobs, givenAnew int, err error)
}

// Renumber returns an importer that has each job get a new number: those of two stores may be the same.
func Renumber(to Importer) Importer { return renumber{to} }

type renumber struct{ Importer }

func (r renumber) Add(job *store.Job, refused func(error)) error {
	job.Number = 0
	return r.Importer.Add(job, refused)
}

// Import adds what lines of JSON say, and closes the importer. A line that cannot be parsed, and a job that
// the importer does not take, is left out, and leftOut is called with the reason and the line. After an error
// the import is incomplete. What was added stays in any case.
func Import(r io.Reader, to Importer, leftOut func(error)) (done Imported, err error) {
	err = Read(r, func(item *Item) error {
		line, why := item.Line, item.Wrong
		complain := func(why error) {
			done.LeftOut++
			leftOut(fmt.Errorf("line %d: %w", line, why))
		}
		switch {
		case why != nil:
		case item.Settings != nil:
			if why = to.SetSettings(item.Settings, item.Node); why == nil {
				done.Settings = true
			}
		default:
			why = to.Add(item.Job, complain)
		}
		if bad := (ImportError{}); errors.As(why, &bad) {
			complain(bad)
			return nil
		}
		return why
	})
	var closed error
	done.Jobs, done.GivenAnew, closed = to.Close()
	return done, Ended(err, closed)
}

// Ended returns the error of an import from those of Add and Close, which may both be why no more jobs are stored.
func Ended(add, closed error) error {
	if add != nil && closed != nil && add.Error() == closed.Error() {
		return add
	}
	return errors.Join(add, closed)
}

// CheckSettings returns an ImportError if a document cannot be what a dump has written.
func CheckSettings(document []byte) error {
	switch {
	case len(document) == 0 || document[0] != '{':
		return ImportError{errors.New("settings: they must be an object, as in a dump")}
	case len(document) > store.MaxSettings:
		return ImportError{fmt.Errorf("settings: %d bytes are more than %d", len(document), store.MaxSettings)}
	}
	return nil
}
