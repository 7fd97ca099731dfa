package view

import (
	"time"

	"gearloop/sched"
)

// Bounds of what one request may cost.
const (
	// maxLimit is the largest number of items on a page.
	maxLimit = 1000
	// defaultLimit is that number when nobody says one.
	defaultLimit = 100
	// jobsLooked is how many jobs are looked at for a page: some 20 ms.
	jobsLooked = 250_000
	// searchedBytes is how much of each argument is searched.
	searchedBytes = 64 << 10
	// searchedForOne is how many bytes of arguments cost as much as a job that is looked at.
	searchedForOne = 512
	// maxPattern is the longest pattern of functions, in bytes: comparing costs the product of both lengths.
	maxPattern = 2 * sched.MaxFunction
	// freshFor is how long a snapshot of all functions or connections is shared.
	freshFor = time.Second
)
