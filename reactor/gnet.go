package reactor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/panjf2000/gnet/v2"
)

// gnetEvents receives gnet's calls, on its loops.
type gnetEvents struct {
	gnet.BuiltinEventEngine
	server *Server
}

func (e *gnetEvents) OnOpen(gc gnet.Conn) ([]byte, gnet.Action)   { return e.server.opened(gc) }
func (e *gnetEvents) OnTraffic(gc gnet.Conn) gnet.Action          { return e.server.traffic(gc) }
func (e *gnetEvents) OnClose(gc gnet.Conn, err error) gnet.Action { return e.server.closed(gc, err) }

// gnetLog forwards gnet's log lines, most of them at level debug.
type gnetLog struct{ log *slog.Logger }

func (g gnetLog) Debugf(f string, a ...any) { g.at(slog.LevelDebug, f, a) }
func (g gnetLog) Infof(f string, a ...any)  { g.at(slog.LevelDebug, f, a) }
func (g gnetLog) Warnf(f string, a ...any)  { g.at(slog.LevelDebug, f, a) }
func (g gnetLog) Errorf(f string, a ...any) { g.at(slog.LevelWarn, f, a) }
func (g gnetLog) Fatalf(f string, a ...any) { g.at(slog.LevelError, f, a) }

func (g gnetLog) at(level slog.Level, format string, a []any) {
	if g.log.Enabled(context.Background(), level) {
		g.log.Log(context.Background(), level, "gnet: "+fmt.Sprintf(format, a...))
	}
}
