package sched

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"gearloop/internal/payload"
	"gearloop/store"
)

// Storable prepares a job from elsewhere to be stored as if it had been submitted: the unique id "-" is
// replaced by the key that stands for the argument. It returns an error if the job could not have been
// submitted, because no packet could carry it to a worker.
func Storable(job *store.Job) error {
	switch {
	case len(job.Function) > MaxFunction:
		return fmt.Errorf("function has %d bytes, the most is %d", len(job.Function), MaxFunction)
	case strings.IndexByte(job.Function, 0) >= 0:
		return errors.New("function has a NUL in it")
	case len(job.Reducer) > MaxFunction:
		return fmt.Errorf("reducer has %d bytes, the most is %d", len(job.Reducer), MaxFunction)
	case strings.IndexByte(job.Reducer, 0) >= 0:
		return errors.New("reducer has a NUL in it")
	case len(job.Unique) > MaxUnique:
		return fmt.Errorf("unique has %d bytes, the most is %d", len(job.Unique), MaxUnique)
	case job.Unique == "-":
		job.Unique = ""
		if argument := payload.Gather(job.Argument); argument.Len() > 0 {
			fx := Effects{Again: true}
			for key := ""; fx.Again; job.Unique = dash + key {
				fx.Again = false
				key = plainKey(argument, &fx)
			}
			argument.Release()
		}
	case strings.IndexByte(job.Unique, 0) >= 0 && !isKey(job.Unique):
		return errors.New("unique has a NUL in it")
	}
	return nil
}

// isKey reports whether a unique id that begins with NUL is one that argumentKey makes.
func isKey(unique string) bool {
	key := strings.TrimPrefix(unique, dash)
	switch {
	case key == emptyKey && key == unique:
		return true
	case strings.HasPrefix(key, digestOf):
		digest := key[len(digestOf):]
		return len(digest) == 2*sha256.Size && strings.Trim(digest, "0123456789abcdef") == ""
	}
	return key != unique && key != "" && len(key) <= maxPlainKey && strings.IndexByte(key, 0) < 0
}
