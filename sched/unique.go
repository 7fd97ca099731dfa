package sched

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"gearloop/payload"
)

// maxPlainKey is up to where an argument that serves as unique id is kept as it is, in
// bytes; of a longer one only a digest is.
const maxPlainKey = 1 << 10

// argumentKey returns what stands for an argument as unique id (SUBMIT_JOB with the
// unique id "-"). The NUL in front keeps it apart from unique ids that were sent, which
// can't hold one; so an empty argument has a key, too.
func argumentKey(arg payload.View) string {
	if arg.Len() <= maxPlainKey {
		return "\x00" + string(arg.Append(nil))
	}
	h := sha256.New()
	for _, b := range arg.Slices(nil) {
		h.Write(b)
	}
	return "\x00sha256:" + hex.EncodeToString(h.Sum(nil))
}

// shownUnique returns a job's unique id as others see it: for one submitted with "-" that
// is the argument, or the digest of a long one.
func (j *Job) shownUnique() string { return strings.TrimPrefix(j.unique, "\x00") }

// uniqueKey is what coalesces: unique ids are per function.
type uniqueKey struct {
	fn  *function
	key string
}

// unique returns the job of the function with this unique id, nil if there is none.
func (sh *shard) unique(fn *function, key string) *Job {
	return sh.uniques[uniqueKey{fn, key}]
}

// setUnique makes a job the one of its unique id. Jobs of different functions with the same id
// are chained, for GET_STATUS_UNIQUE, which names no function.
func (sh *shard) setUnique(j *Job) {
	if j.unique == "" {
		return
	}
	sh.uniques[uniqueKey{j.fn, j.unique}] = j
	if j.nextSame = sh.sameUnique[j.unique]; j.nextSame != nil {
		j.nextSame.prevSame = j
	}
	sh.sameUnique[j.unique] = j
}

// freeUnique makes a job's unique id free again.
func (sh *shard) freeUnique(j *Job) {
	if j.unique == "" {
		return
	}
	delete(sh.uniques, uniqueKey{j.fn, j.unique})
	if j.nextSame != nil {
		j.nextSame.prevSame = j.prevSame
	}
	switch {
	case j.prevSame != nil:
		j.prevSame.nextSame = j.nextSame
	case j.nextSame != nil:
		sh.sameUnique[j.unique] = j.nextSame
	default:
		delete(sh.sameUnique, j.unique)
	}
	j.prevSame, j.nextSame = nil, nil
}
