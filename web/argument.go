package web

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"gearloop/sched"
)

// pieceTime is how long a peer may take to read a piece of an argument.
const pieceTime = 10 * time.Second

// ServeArgument answers a request with all of a job's argument, to be kept as a file. It never has more than
// a piece of it in memory beside the job's own. An error is that of sched.WriteArgument, and the request is
// not answered yet; an answer that has begun and can't be finished ends the connection, so that nobody takes
// a part for all.
func ServeArgument(w http.ResponseWriter, s *sched.Sched, handle string) error {
	control := http.NewResponseController(w)
	defer control.SetWriteDeadline(time.Time{}) // the connection may be used again
	a := &argument{w: w, control: control}
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
	w       http.ResponseWriter
	control *http.ResponseController
	size    int
	begun   bool
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

// Write writes a piece. A peer that does not take it in time is cut off, as the argument stays in memory for
// that long.
func (a *argument) Write(b []byte) (int, error) {
	a.header()
	_ = a.control.SetWriteDeadline(time.Now().Add(pieceTime)) // where it is not possible there is no connection
	return a.w.Write(b)
}
