package systest

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"

	"gearloop/codec"
)

// crashSubmission is one submission. Its argument begins with its number, unless it is empty.
type crashSubmission struct {
	id       int
	typ      codec.Type
	function string
	unique   string // as sent
	reducer  string
	due      int64 // second since 1970
	size     int   // of the argument
	client   int   // number of the connection, over all runs
	order    int   // its position there
	run      int
	answered string // handle in JOB_CREATED
	made     string // handle of the job with its argument
}

// noise is where the rest of arguments comes from.
var noise = func() []byte {
	b := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

// argument returns the argument of a submission. One that serves as unique id is text.
func (s *crashSubmission) argument() []byte {
	if s.size == 0 {
		return nil
	}
	b := append(strconv.AppendInt(make([]byte, 0, s.size+16), int64(s.id), 10), ':')
	if more := s.size - len(b); more > 0 {
		from := s.id * 7919 % (len(noise) - s.size)
		if s.unique == "-" {
			b = hex.AppendEncode(b, noise[from:from+more/2])
		} else {
			b = append(b, noise[from:from+more]...)
		}
	}
	return b
}

// rank is the order of its priority, smallest first.
func (s *crashSubmission) rank() int {
	switch s.typ {
	case codec.SubmitJobHigh, codec.SubmitJobHighBg:
		return 0
	case codec.SubmitJobLow, codec.SubmitJobLowBg:
		return 2
	}
	return 1
}

// key is what it coalesces by, "" = nothing.
func (s *crashSubmission) key() string {
	switch s.unique {
	case "":
		return ""
	case "-":
		return s.function + "\x00" + string(s.argument())
	}
	return s.function + "\x00" + s.unique
}

// shown is its unique id as workers see it.
func (s *crashSubmission) shown(dialect string) string {
	if s.unique != "-" || dialect == "c" {
		return s.unique
	}
	argument := s.argument()
	if len(argument) <= 1<<10 {
		return string(argument)
	}
	sum := sha256.Sum256(argument)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// packet appends the packet.
func (s *crashSubmission) packet(b []byte) []byte {
	args := []string{s.function, s.unique}
	switch s.typ {
	case codec.SubmitJobEpoch:
		args = append(args, strconv.FormatInt(s.due, 10))
	case codec.SubmitReduceJobBack:
		args = append(args, s.reducer, "")
	}
	return codec.AppendRequest(b, s.typ, append(args, string(s.argument()))...)
}
