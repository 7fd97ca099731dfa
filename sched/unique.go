package sched

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"

	"gearloop/internal/payload"
	"gearloop/internal/slim"
)

// Arguments up to maxPlainKey bytes serve as their own key; longer ones, or ones with a NUL, are hashed,
// because they cannot be sent as a unique id.
const maxPlainKey = 1 << 10

// emptyKey stands for an empty argument. Like all keys that are not the text itself it begins with NUL, which
// no unique id in a packet can contain.
const emptyKey = "\x00"

// digestOf begins a key that is the digest of an argument in hexadecimal.
const digestOf = "\x00sha256:"

// dash begins the keys of arguments where the unique id "-" is shown as such: nobody can ask for them by
// unique id.
const dash = "\x00-"

// argumentKey returns the key for an argument that serves as unique id (a submission with the unique id "-").
// With Effects.Again it is not known yet.
func (s *Sched) argumentKey(arg payload.View, fx *Effects) string {
	switch {
	case s.dialect.DashIsShown && arg.Len() == 0:
		return "" // coalesces with nothing
	case s.dialect.DashIsShown:
		return dash + plainKey(arg, fx)
	}
	return plainKey(arg, fx)
}

func plainKey(arg payload.View, fx *Effects) string {
	switch {
	case arg.Len() == 0:
		return emptyKey
	case arg.Len() <= maxPlainKey:
		if key := string(arg.Append(nil)); strings.IndexByte(key, 0) < 0 {
			return key
		}
	}
	d, _ := fx.State.(*digest)
	if d == nil {
		d = &digest{hash: sha256.New()}
	}
	pieces := arg.Slices(nil)
	hashed := 0
	for hashed < callHash && d.pieces < len(pieces) {
		n, _ := d.hash.Write(pieces[d.pieces])
		hashed += n
		d.pieces++
	}
	fx.Work += hashed / workHash
	if d.pieces < len(pieces) {
		fx.Again, fx.State = true, d
		return ""
	}
	return digestOf + hex.EncodeToString(d.hash.Sum(nil))
}

// digest is the progress of hashing an argument.
type digest struct {
	hash   hash.Hash
	pieces int // of the argument, that are hashed
}

// shownUnique returns a job's unique id as others see it: for one submitted with "-" that is the argument,
// the digest of a long one, or the dash.
func (j *job) shownUnique() string {
	if j.marks&dashed != 0 {
		return "-"
	}
	return strings.TrimPrefix(j.unique, "\x00")
}

// uniqueKey is what jobs coalesce by: unique ids are per function.
type uniqueKey struct {
	fn  *function
	key string
}

// unique returns the job of the function with this unique id, or nil.
func (sh *shard) unique(fn *function, key string) *job {
	return sh.uniques[uniqueKey{fn, key}]
}

// setUnique registers a job under its unique id. Jobs of different functions with the same id are chained,
// for GET_STATUS_UNIQUE, which names no function.
func (sh *shard) setUnique(j *job) {
	if j.unique == "" {
		return
	}
	sh.uniques[uniqueKey{j.fn, j.unique}] = j
	if next := sh.sameUnique[j.unique]; next != nil {
		j.more().nextSame = next
		next.more().prevSame = j
	}
	sh.sameUnique[j.unique] = j
}

// freeUnique removes that registration.
func (sh *shard) freeUnique(j *job) {
	if j.unique == "" {
		return
	}
	delete(sh.uniques, uniqueKey{j.fn, j.unique})
	sh.uniques = slim.Map(sh.uniques, &sh.mostUniques)
	x := j.rest()
	prev, next := x.prevSame, x.nextSame
	if next != nil {
		next.extra.prevSame = prev
	}
	switch {
	case prev != nil:
		prev.extra.nextSame = next
	case next != nil:
		sh.sameUnique[j.unique] = next
	default:
		delete(sh.sameUnique, j.unique)
		sh.sameUnique = slim.Map(sh.sameUnique, &sh.mostSame)
	}
	if j.extra != nil {
		x.prevSame, x.nextSame = nil, nil
	}
}

// stripUnique removes a job's unique id.
func (sh *shard) stripUnique(j *job) {
	sh.freeUnique(j)
	j.refund(costUnique + len(j.unique))
	j.unique = ""
}
