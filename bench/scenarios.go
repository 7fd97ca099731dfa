package bench

import "gearloop/internal/load"

// Scenario is a load that servers are compared by.
type Scenario struct {
	Name  string // for the command line
	Title string // for tables
	Load  load.Config
	Jobs  int  // so many, instead of as many as there are in a time
	Large bool // payloads of megabytes: the floor, which keeps it simple, is no measure for it
	Once  bool // connecting takes long: one round has to do
	Fresh bool // each turn gets a new process: memory from the turn before would make it cheaper
}

// Scenarios returns all of them.
func Scenarios() []Scenario {
	one := func(name, title string, c load.Config) Scenario {
		c.Function = "bench"
		c.Functions, c.Depth, c.Payload = max(c.Functions, 1), max(c.Depth, 1), max(c.Payload, 64)
		return Scenario{Name: name, Title: title, Load: c, Large: c.Payload >= 1<<20}
	}
	background := one("background", "200,000 background jobs, submitted by 4 clients × 500, then drained by 8 workers",
		load.Config{Mode: load.Background, Clients: 4, Depth: 500, Workers: 8})
	background.Jobs, background.Fresh = 200_000, true
	idle := one("idle", "1 client × 1 in flight, 1 worker, 15,000 idle workers of another function", load.Config{Clients: 1, Workers: 1, Idle: 15_000})
	idle.Once = true
	return []Scenario{
		one("shallow", "20 clients × 1 in flight, 10 workers, 64 B", load.Config{Clients: 20, Workers: 10}),
		one("deep", "4 clients × 64 in flight, 8 workers, 64 B", load.Config{Clients: 4, Depth: 64, Workers: 8}),
		one("single", "1 client × 1 in flight, 1 worker, 64 B", load.Config{Clients: 1, Workers: 1}),
		one("functions", "20 functions, 20 clients × 1 in flight, 20 workers that can do all of them, 64 B",
			load.Config{Clients: 20, Workers: 20, Functions: 20}),
		one("connect", "20 clients that open a connection for each job, 10 workers, 64 B",
			load.Config{Connect: true, Clients: 20, Workers: 10}),
		one("echo", "echo, 10 clients × 16 in flight, 64 B", load.Config{Mode: load.Echo, Clients: 10, Depth: 16}),
		one("64k", "8 clients × 4 in flight, 8 workers, 64 KiB", load.Config{Clients: 8, Depth: 4, Workers: 8, Payload: 64 << 10}),
		one("1m", "4 clients × 2 in flight, 4 workers, 1 MiB", load.Config{Clients: 4, Depth: 2, Workers: 4, Payload: 1 << 20}),
		one("16m", "2 clients × 1 in flight, 2 workers, 16 MiB", load.Config{Clients: 2, Workers: 2, Payload: 16 << 20}),
		background,
		one("sleepers", "1 client × 1 in flight, 1 worker, 5,000 further workers asleep on the same function, 64 B",
			load.Config{Clients: 1, Workers: 1, Sleepers: 5000}),
		one("open", "open loop, 8,000 jobs/s by 20 clients, 20 workers, 64 B", load.Config{Clients: 20, Workers: 20, Rate: 8000}),
		idle,
	}
}
