package monitor

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
)

// API is a Source that asks a Gearloop over /api/v1.
type API struct {
	Client  *api.Client
	Address string // for messages
	Limit   time.Duration
	Explain func(error) error // explains an error and what to do; nil leaves errors unchanged
}

// said returns an error for display.
func (a *API) said(err error) error {
	if err == nil || a.Explain == nil {
		return err
	}
	return a.Explain(err)
}

const (
	pageSize = 1000
	// maxRows bounds the rows that are fetched of one list.
	maxRows = 200_000
)

// Get reads a resource.
func (a *API) Get(ctx context.Context, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, a.Limit)
	defer cancel()
	return a.said(a.Client.Get(ctx, path, query, into))
}

// Server implements Source.
func (a *API) Server(ctx context.Context) (s api.Server, err error) {
	return s, a.Get(ctx, "server", nil, &s)
}

// Functions implements Source.
func (a *API) Functions(ctx context.Context, match string) ([]api.Function, error) {
	all, _, err := List[api.Function](ctx, a, "functions", url.Values{"match": {match}}, maxRows)
	return all, err
}

// Connections implements Source.
func (a *API) Connections(ctx context.Context, workersOnly bool) ([]api.Connection, error) {
	query := url.Values{}
	if workersOnly {
		query.Set("workers", "true")
	}
	all, _, err := List[api.Connection](ctx, a, "connections", query, maxRows)
	return all, err
}

// topRows is how many rows of a screen are fetched.
const topRows = 500

// Top implements Source: the server sorts and counts.
func (a *API) Top(ctx context.Context, q TopQuery) (*snapshot, error) {
	shot := &snapshot{query: q, at: time.Now()}
	var err error
	if shot.server, err = a.Server(ctx); err != nil {
		return nil, err
	}
	query := url.Values{"limit": {strconv.Itoa(topRows)}}
	switch q.view {
	case viewFunctions:
		order := cmp.Or(q.order, functionOrders(a)[0].name)
		if q.reverse {
			order = "-" + order
		}
		query.Set("sort", order)
		if query.Set("match", q.filter); q.filter != "" && !strings.ContainsAny(q.filter, "*?") {
			query.Set("match", "*"+q.filter+"*")
		}
		var page api.Page[api.Function]
		err = a.Get(ctx, "functions", query, &page)
		shot.functions, shot.total = page.Items, total(&page)
	case viewWorkers:
		query.Set("workers", "true")
		var page api.Page[api.Connection]
		err = a.Get(ctx, "connections", query, &page)
		shot.workers, shot.total = page.Items, total(&page)
	case viewLoops:
		var page api.Page[api.Loop]
		err = a.Get(ctx, "loops", nil, &page)
		shot.loops, shot.total = page.Items, len(page.Items)
	}
	return shot, err
}

// total returns the number of objects.
func total[T any](p *api.Page[T]) int {
	if p.Total == nil {
		return len(p.Items)
	}
	return *p.Total
}

// Jobs implements Source.
func (a *API) Jobs(ctx context.Context, f api.JobFilter, limit int) ([]api.Job, bool, error) {
	return List[api.Job](ctx, a, "jobs", queryOf(f), limit)
}

// queryOf returns a filter as the query of GET jobs.
func queryOf(f api.JobFilter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"function": api.Join(f.Function, f.FunctionBase64), "state": f.State, "priority": f.Priority, "unique": f.Unique,
		"worker": f.Worker, "argument": f.Argument, "unique_prefix": f.UniquePrefix,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.OlderThan != nil {
		query.Set("older_than_seconds", strconv.FormatFloat(*f.OlderThan, 'f', -1, 64))
	}
	return query
}

// List fetches pages of a list until it has limit items or there are no more.
func List[T any](ctx context.Context, a *API, path string, query url.Values, limit int) (all []T, more bool, err error) {
	for {
		query.Set("limit", strconv.Itoa(max(1, min(pageSize, limit-len(all)))))
		var page api.Page[T]
		if err := a.Get(ctx, path, query, &page); err != nil {
			return nil, false, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, false, nil
		}
		if len(all) >= limit {
			return all, true, nil
		}
		query.Set("cursor", page.Next)
	}
}

// Has implements Source.
func (a *API) Has(Knowledge) bool { return true }

func (a *API) String() string { return a.Address }

// Close ends connections.
func (a *API) Close() { a.Client.Close() }
