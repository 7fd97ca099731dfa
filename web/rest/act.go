package rest

import (
	"context"
	"net/http"

	"gearloop/api"
	"gearloop/sched"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// actions are the routes that change something.
func (a *API) actions() []route {
	act := func(method, path string, role guard.Role, h func(*http.Request) (any, error)) route {
		return route{method, path, role, answer(h)}
	}
	return []route{
		act(http.MethodPost, "functions/{name}/jobs", guard.Operator, a.submit),
		act(http.MethodPost, "functions/{name}/pause", guard.Operator, a.set((*action.Actions).Pause)),
		act(http.MethodPost, "functions/{name}/close", guard.Operator, a.set((*action.Actions).Close)),
		act(http.MethodPost, "functions/{name}/resume", guard.Operator, a.unset((*action.Actions).Resume)),
		act(http.MethodPost, "functions/{name}/open", guard.Operator, a.unset((*action.Actions).Open)),
		act(http.MethodPost, "jobs/{handle}/cancel", guard.Operator, a.cancel),
		act(http.MethodPost, "jobs/{handle}/give-up", guard.Operator, a.act(sched.GiveUpJob)),
		act(http.MethodPost, "jobs/{handle}/take-back", guard.Operator, a.act(sched.TakeBackJob)),
		act(http.MethodPost, "jobs/{handle}/front", guard.Operator, a.act(sched.MoveToFront)),
		act(http.MethodPost, "jobs/{handle}/priority", guard.Operator, a.priority),
		act(http.MethodPost, "functions/{name}/purge", guard.Operator, a.purge),
		act(http.MethodDelete, "connections/{id}", guard.Operator, a.disconnect),
		act(http.MethodPost, "drain", guard.Admin, a.drain),
		act(http.MethodPost, "reload", guard.Admin, a.reload),
	}
}

func (a *API) submit(r *http.Request) (any, error) {
	var in api.Submit
	if err := body(r, &in); err != nil {
		return nil, err
	}
	handle, err := a.cfg.Actions.Submit(r.Context(), guard.From(r.Context()), r.PathValue("name"), &in)
	if err != nil {
		return nil, err
	}
	return api.Submitted{Handle: handle}, nil
}

// set pauses or closes a function.
func (a *API) set(act func(*action.Actions, context.Context, guard.Who, string, *api.Pause) (string, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in api.Pause
		if err := body(r, &in); err != nil {
			return nil, err
		}
		if _, err := act(a.cfg.Actions, r.Context(), guard.From(r.Context()), r.PathValue("name"), &in); err != nil {
			return nil, err
		}
		return api.Done{Changed: true, Count: 1}, nil
	}
}

// unset resumes or opens a function.
func (a *API) unset(act func(*action.Actions, context.Context, guard.Who, string, string) (bool, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in api.Reason
		if err := body(r, &in); err != nil {
			return nil, err
		}
		changed, err := act(a.cfg.Actions, r.Context(), guard.From(r.Context()), r.PathValue("name"), in.Reason)
		done := api.Done{Changed: changed}
		if changed {
			done.Count = 1
		}
		return done, err
	}
}

// reasoned carries out an action that needs only a reason.
func reasoned(r *http.Request, act func(who guard.Who, reason string) error) (any, error) {
	var in api.Reason
	if err := body(r, &in); err != nil {
		return nil, err
	}
	if err := act(guard.From(r.Context()), in.Reason); err != nil {
		return nil, err
	}
	return api.Done{Changed: true, Count: 1}, nil
}

func (a *API) cancel(r *http.Request) (any, error) {
	return reasoned(r, func(who guard.Who, reason string) error {
		_, err := a.cfg.Actions.Cancel(r.Context(), who, r.PathValue("handle"), reason)
		return err
	})
}

// act applies an act to a job.
func (a *API) act(act sched.Act) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in api.Reason
		if err := body(r, &in); err != nil {
			return nil, err
		}
		return a.does(r, act, in.Reason)
	}
}

func (a *API) priority(r *http.Request) (any, error) {
	var in api.SetPriority
	if err := body(r, &in); err != nil {
		return nil, err
	}
	act, err := action.ToPriority(in.Priority)
	if err != nil {
		return nil, err
	}
	return a.does(r, act, in.Reason)
}

func (a *API) does(r *http.Request, act sched.Act, reason string) (any, error) {
	_, changed, err := a.cfg.Actions.Act(r.Context(), guard.From(r.Context()), act, r.PathValue("handle"), reason)
	if err != nil {
		return nil, err
	}
	done := api.Done{Changed: changed}
	if changed {
		done.Count = 1
	}
	return done, nil
}

func (a *API) purge(r *http.Request) (any, error) {
	var in api.Purge
	if err := body(r, &in); err != nil {
		return nil, err
	}
	n, asOf, err := a.cfg.Actions.Purge(r.Context(), guard.From(r.Context()), r.PathValue("name"), &in)
	if err != nil {
		return nil, err
	}
	return api.Purged{Changed: n > 0 && !in.DryRun, Count: n, AsOf: asOf.UTC(), DryRun: in.DryRun}, nil
}

func (a *API) disconnect(r *http.Request) (any, error) {
	return reasoned(r, func(who guard.Who, reason string) error {
		_, err := a.cfg.Actions.Disconnect(r.Context(), who, r.PathValue("id"), reason)
		return err
	})
}

func (a *API) drain(r *http.Request) (any, error) {
	return reasoned(r, func(who guard.Who, reason string) error { return a.cfg.Actions.Drain(r.Context(), who, reason) })
}

func (a *API) reload(r *http.Request) (any, error) {
	return reasoned(r, func(who guard.Who, reason string) error { return a.cfg.Actions.Reload(r.Context(), who, reason) })
}
