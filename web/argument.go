package web

import (
	"io"
	"net/http"
	"strconv"

	"gearloop/sched"
)

// ServeArgument answers a request with all of a job's argument, to be kept as a file. It never has more than
// a piece of it in memory beside the job's own. An error is that of sched.WriteArgument, and the request is
// not answered yet; an answer that has begun and can't be finished ends the connection, so that nobody takes
// a part for all.
func ServeArgument(w http.ResponseWriter, s *sched.Sched, handle string) error {
	a := &argument{w: w}
	err := s.WriteArgument(handle, func(size int) io.Writer {
		a.size = size
		return a
	})
	switch {
	case err == nil:
		a.header() // of an empty one
	case a.begun:
		panic(http.ErrAbortHandler)
	}
	return err
}

// argument writes an argument as an answer.
type argument struct {
	w     http.ResponseWriter
	size  int
	begun bool
}

func (a *argument) header() {
	if a.begun {
		return
	}
	a.begun = true
	h := a.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="argument.bin"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(a.size))
}

// Write writes a piece. The argument stays in memory until the peer has read it, or is cut off (patience.go).
func (a *argument) Write(b []byte) (int, error) {
	a.header()
	return a.w.Write(b)
}
