package httpgate

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
)

// allowed are the methods that submit a job.
const allowed = "GET, HEAD, POST, PUT"

// ServeHTTP submits the job that a request describes and answers with its result.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{gate: g, w: w, r: r, rc: http.NewResponseController(w), job: submissionOf(r)}
	h := w.Header()
	protect(h)
	if g.cfg.Server != "" {
		h.Set("Server", g.cfg.Server)
	}
	if !keepsConnection(r) {
		h.Set("Connection", "close")
	}
	if refused := g.guard.check(r); refused != nil {
		g.turnAway(&g.counters.Foreign, *refused, r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"))
		x.reply(refused.status, refused.text)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut:
	default:
		h.Set("Allow", allowed)
		x.reply(http.StatusMethodNotAllowed, "methods that submit a job: "+allowed)
		return
	}
	switch {
	case x.job.function == "" && r.Method == http.MethodHead:
		x.reply(http.StatusOK, "") // is somebody there?
		return
	case x.job.function == "":
		x.reply(http.StatusNotFound, "")
		return
	case !valid(x.job.function) || !valid(x.job.unique):
		x.reply(errName.status, errName.text)
		return
	}
	client := clientOf(r.RemoteAddr)
	if refused := g.enter(x.job.function, client); refused != nil {
		g.turnAway(g.counters.of(refused), *refused, r.RemoteAddr, "function", x.job.function)
		x.reply(refused.status, refused.text)
		return
	}
	defer g.leave(x.job.function, client)
	x.run()
}

// run submits the job and answers. Where it cannot answer, it cuts the connection, so that the client does
// not mistake silence for an empty result.
func (x *exchange) run() {
	defer x.end()
	err := x.submit()
	if err == nil {
		err = x.answer()
	}
	var f failure
	switch {
	case err == nil:
	case errors.As(err, &f) && (x.r.Context().Err() == nil || f == errSlow || f == errBody):
		// net/http considers a request whose body cannot be read as over, but the client still waits.
		x.reply(f.status, f.text)
	default:
		x.gate.cfg.Log.Debug("HTTP: no answer", "function", x.job.function, "handle", x.handle, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// answer waits for the packet that is the answer and relays it. It returns a failure only while nothing has
// been sent to the client.
func (x *exchange) answer() error {
	before := parts{budget: &x.gate.budget} // WORK_DATA
	defer before.free()
	for {
		if err := x.await(); err != nil {
			return err
		}
		kind, size, err := x.broker.next()
		if err != nil {
			return errLost
		}
		if kind == codec.Error {
			return x.refused(size)
		}
		handle, rest, err := x.broker.handle(size)
		if err != nil {
			return errLost
		}
		x.handle = handle
		switch kind {
		case codec.WorkComplete, codec.WorkFail, codec.WorkException:
			return x.pass(kind, &before, rest)
		case codec.JobCreated:
			if x.job.background {
				return x.pass(kind, &before, 0)
			}
		case codec.WorkStatus:
			// STATUS numbers are not relayed, as C gearmand does not relay them either.
			if before.size == 0 && !x.job.final {
				return x.pass(kind, &before, 0)
			}
		case codec.WorkWarning:
			if before.size == 0 && !x.job.final {
				return x.pass(kind, &before, rest)
			}
		case codec.WorkData:
			if err := x.keep(&before, rest); err != nil {
				return err
			}
			continue
		case codec.StatusRes:
			if err := x.claimed(rest); err != nil {
				return err
			}
			continue
		}
		if _, err := io.CopyN(io.Discard, x.broker.in, rest); err != nil {
			return errLost
		}
	}
}

// await waits for the next packet. If none arrives within QueueTimeout, it asks the broker whether a worker
// has the job.
func (x *exchange) await() error {
	if x.gate.cfg.QueueTimeout < 0 {
		return nil
	}
	for {
		limit := x.gate.cfg.QueueTimeout
		silent := x.asked || x.handle == "" // the broker owes the next packet, not a worker
		if silent {
			limit += x.gate.cfg.StallTimeout
		}
		x.broker.SetReadDeadline(time.Now().Add(limit))
		_, err := x.broker.in.Peek(1)
		switch {
		case err == nil:
			x.broker.SetReadDeadline(time.Time{})
			return nil
		case !isTimeout(err):
			return errLost
		case silent:
			return errSilent
		}
		if err := x.write(codec.AppendRequest(nil, codec.GetStatus, x.handle)); err != nil {
			return err
		}
		x.asked = true
	}
}

// claimed reads what remains of the answer to a question of await: whether the job is known, whether it is
// running, and its numbers. It returns a failure when no worker has the job.
func (x *exchange) claimed(rest int64) error {
	text, err := x.broker.text(rest)
	if err != nil || rest > maxErrorText {
		return errLost
	}
	x.asked = false
	if fields := strings.Split(text, "\x00"); len(fields) > 1 && fields[1] == "1" {
		return nil
	}
	limit := x.gate.cfg.QueueTimeout
	unclaimed := failure{http.StatusGatewayTimeout, "no worker took the job within " + limit.String()}
	x.gate.turnAway(&x.gate.counters.Unclaimed, unclaimed, x.r.RemoteAddr, "function", x.job.function)
	return unclaimed
}

// keep buffers n bytes of data that precede the result.
func (x *exchange) keep(before *parts, n int64) error {
	had := before.size
	switch err := before.readAll(io.LimitReader(x.broker.in, n), x.gate.cfg.MaxPacket); {
	case err == errKept:
		return errKept
	case err == errTooLarge:
		return failure{http.StatusBadGateway, "the data before the result are too much to be kept"}
	case err != nil || before.size-had != n:
		return errLost
	}
	return nil
}

// pass answers with a packet: the data buffered before it, then its own rest bytes.
func (x *exchange) pass(kind codec.Type, before *parts, rest int64) error {
	h := x.w.Header()
	h["Content-Type"] = octetStream // only the worker knows the type, and a browser must not guess it
	h.Set(headerHandle, x.handle)
	h.Set("Content-Length", strconv.FormatInt(before.size+rest, 10))
	if x.r.Method != http.MethodHead {
		h.Set(headerCommand, kind.String())
	}
	x.gate.cfg.Log.Debug("HTTP: answered", "function", x.job.function, "handle", x.handle, "packet", kind.String(),
		"bytes", before.size+rest)
	x.grantTime()
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	for _, b := range before.blocks {
		x.grantTime()
		if _, err := x.w.Write(b); err != nil {
			return errGone
		}
	}
	for rest > 0 {
		n := min(rest, resultPiece)
		x.grantTime()
		if err := x.broker.copyTo(x.w, n); err != nil {
			return errGone
		}
		rest -= n
	}
	return nil
}

// grantTime restarts the time that the client has to accept what is sent next.
func (x *exchange) grantTime() { x.rc.SetWriteDeadline(time.Now().Add(x.gate.cfg.StallTimeout)) }

// refused answers with the ERROR that the broker sent instead of accepting the job.
func (x *exchange) refused(size int64) error {
	data, err := x.broker.text(size)
	if err != nil {
		return errLost
	}
	code, text, _ := strings.Cut(data, "\x00")
	x.w.Header().Set(headerCommand, codec.Error.String())
	return failure{statusOf(code), strings.TrimSpace(code + " " + strings.TrimRight(text, "\x00"))}
}

// statusOf maps an error code of the broker to a status: 4xx if the request was at fault.
func statusOf(code string) int {
	switch strings.ToLower(code) {
	case "argument_too_large", "invalid_args", "invalid_arguments", "incomplete_args":
		return http.StatusBadRequest
	case "not_allowed":
		return http.StatusForbidden
	case "packet_too_large":
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusServiceUnavailable
}

// reply answers without a job. text is for people; it may be empty.
func (x *exchange) reply(status int, text string) {
	h := x.w.Header()
	h["Content-Type"] = nil
	if text != "" {
		text += "\n"
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	x.grantTime()
	x.w.WriteHeader(status)
	io.WriteString(x.w, text)
}
