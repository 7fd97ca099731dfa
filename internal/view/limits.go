package view

import (
	"time"

	"gearloop/sched"
)

// Limits of the cost of one request.
const (
	// maxLimit is the largest number of items on a page.
	maxLimit = 1000
	// defaultLimit is the default number of items on a page.
	defaultLimit = 100
	// jobsLooked is how many jobs are examined for a page: some 20 ms.
	jobsLooked = 250_000
	// searchedBytes is how many bytes of each argument are searched.
	searchedBytes = 64 << 10
	// searchedForOne is how many bytes of arguments cost as much as examining a job.
	searchedForOne = 512
	// shownClients is how many of the clients that wait for a job are shown.
	shownClients = 8
	// maxPattern is the longest pattern of functions, in bytes: matching costs the product of both lengths.
	maxPattern = 2 * sched.MaxFunction
	// freshFor is how long requests share a snapshot of all functions or connections.
	freshFor = time.Second
	// shareFrom is how many of them there must be for that. Fewer are looked at for each request, so that who does
	// something and then looks sees it.
	shareFrom = 1000
)
