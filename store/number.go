package store

// A job's number is the end of its handle, and says where the job belongs:
//
//	number - 1 = run (25 bits) | count (32 bits) | shard (6 bits)
//
// The shard is that of the job's function (ShardOf), so a handle leads to its job without a table of all
// jobs. The count increases with each job of a shard in a run. The engine assigns each run once
// (Events.Opened). 63 bits are used: the number is never 0 and never negative as an int64.
//
// This layout is on disks. ShardBits, and the function behind ShardOf, can never change, because the numbers
// of stored jobs depend on them. Package disk says how numbers of its older layout stay distinct.
const (
	ShardBits = 6
	CountBits = 32
	RunBits   = 25

	// Shards is the number of shards.
	Shards = 1 << ShardBits
	// MaxCount is the highest count of a run. No job has it: with the last shard it is the run's own number, see
	// RunMark.
	MaxCount = 1<<CountBits - 1
	// MaxRun is the highest run that engines open.
	MaxRun = 1<<RunBits - 2

	// RenewAt is the count at which a shard requests a new run; half of the numbers are left then.
	RenewAt = MaxCount / 2
)

// The build fails unless the parts fill 63 bits.
const (
	_ = uint(63 - RunBits - CountBits - ShardBits)
	_ = uint(RunBits + CountBits + ShardBits - 63)
)

// Number composes the number of a job. The parts must be in their ranges.
func Number(run, count uint64, shard int) uint64 {
	return (run<<CountBits|count)<<ShardBits + uint64(shard) + 1
}

// RunMark returns the number of the run itself, which no job has.
func RunMark(run uint64) uint64 { return Number(run, MaxCount, Shards-1) }

// Valid reports whether a job can have the number.
func Valid(number uint64) bool { return number-1 < (MaxRun+1)<<(CountBits+ShardBits) }

// RunOf returns the run of a number.
func RunOf(number uint64) uint64 { return (number - 1) >> (CountBits + ShardBits) }

// CountOf returns the count of a number.
func CountOf(number uint64) uint64 { return (number - 1) >> ShardBits & MaxCount }

// ShardOfNumber returns the shard of a number.
func ShardOfNumber(number uint64) int { return int((number - 1) % Shards) }

// ShardOf returns the shard of a function: FNV-1a of its name, folded.
func ShardOf[T string | []byte](function T) int {
	h := uint32(2166136261)
	for i := range len(function) {
		h = (h ^ uint32(function[i])) * 16777619
	}
	return int((h ^ h>>16) % Shards)
}
