package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/sched"
	"gearloop/web/guard"
)

// Pause stops handing out jobs of a function; submissions go on. It lasts until Resume, p.Until, or without
// --data-dir the end of the process.
func (a *Actions) Pause(_ context.Context, who guard.Who, function string, p *api.Pause) (said string, err error) {
	return a.set(who, "pause", function, p, (*sched.Sched).PauseFunction, "No job of the function is handed out any more.")
}

// Close refuses submissions to a function as if its queue were full. It lasts until Open, p.Until, or without
// --data-dir the end of the process.
func (a *Actions) Close(_ context.Context, who guard.Who, function string, p *api.Pause) (said string, err error) {
	return a.set(who, "close", function, p, (*sched.Sched).CloseFunction, "Submissions to the function are refused.")
}

// badName returns what is wrong with a function's name, or nil.
func badName(function string) error {
	switch {
	case function == "" || len(function) > sched.MaxFunction:
		return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("the name of a function has 1 to %d bytes, this one %d", sched.MaxFunction, len(function)))
	case strings.IndexByte(function, 0) >= 0:
		return guard.NewProblem(http.StatusBadRequest, "the name of a function holds no NUL byte: no job could be submitted to it")
	}
	return nil
}

// set changes a setting of a function.
func (a *Actions) set(who guard.Who, action, function string, p *api.Pause,
	how func(*sched.Sched, string, sched.Setting, time.Time, *sched.Effects) error, done string) (said string, err error) {
	set := sched.Setting{By: who.Name, Reason: p.Reason}
	if p.Until != nil {
		set.Until = *p.Until
	}
	switch {
	case badName(function) != nil:
		err = badName(function)
	default:
		a.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) {
			set.Since = now
			err = how(a.cfg.Source.Sched(), function, set, now, fx)
		})
		switch {
		case errors.Is(err, sched.ErrPast):
			err = guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("until is %s, which has passed", set.Until.UTC().Format(time.RFC3339)))
		case err != nil:
			err = guard.NewProblem(http.StatusServiceUnavailable, err.Error())
		default:
			err = a.save()
		}
	}
	if err = a.note(who, action, function, p.Reason, err); err != nil {
		return "", err
	}
	return done, nil
}

// Resume hands out jobs of a function again. changed is false if it was not paused.
func (a *Actions) Resume(_ context.Context, who guard.Who, function, reason string) (changed bool, err error) {
	a.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) {
		changed = a.cfg.Source.Sched().ResumeFunction(function, now, fx)
	})
	return changed, a.note(who, "resume", function, reason, a.save())
}

// Open accepts submissions to a function again. changed is false if it was not closed.
func (a *Actions) Open(_ context.Context, who guard.Who, function, reason string) (changed bool, err error) {
	a.cfg.Source.Reactor().Act(func(_ time.Time, fx *sched.Effects) {
		changed = a.cfg.Source.Sched().OpenFunction(function, fx)
	})
	return changed, a.note(who, "open", function, reason, a.save())
}

// Save stores the settings of functions.
func (a *Actions) Save() error {
	a.saving.Lock()
	defer a.saving.Unlock()
	return a.cfg.Save()
}

// save stores the settings of functions, after an operator has changed it.
func (a *Actions) save() error {
	if err := a.Save(); err != nil {
		return guard.NewProblem(http.StatusInternalServerError, "it is done, but a restart undoes it: "+err.Error())
	}
	return nil
}
