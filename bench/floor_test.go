package bench

import (
	"context"
	"testing"

	"gearloop/internal/load"
	"gearloop/test/await"
)

// TestFloor runs every kind of load that the scenarios have through the floor; the load checks the results.
func TestFloor(t *testing.T) {
	server := startServer(t, "floor")
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	for _, s := range Scenarios() {
		cfg := s.Load
		cfg.Addr, cfg.Function = server.Addr, s.Name
		cfg.Sleepers, cfg.Idle = min(cfg.Sleepers, 50), min(cfg.Idle, 50)
		l, err := load.Open(ctx, cfg, server.PID)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		const jobs = 20
		res, err := l.Run(ctx, load.Span{Jobs: jobs})
		l.Close()
		if err != nil || res.Jobs != jobs || cfg.Mode == load.Background && res.Drain.Jobs != jobs {
			t.Errorf("%s: %d jobs, %d drained, %v", s.Name, res.Jobs, res.Drain.Jobs, err)
		}
	}
}
