package rest

import (
	"net/http"

	"gearloop/api"
	"gearloop/web/guard"
)

// operationRoutes are the routes of actions on many jobs. Their filters may quote arguments, so reading them
// requires the role reader.
func (a *API) operationRoutes() []route {
	return []route{
		{http.MethodGet, "operations", guard.Reader, answer(a.operations)},
		{http.MethodGet, "operations/{id}", guard.Reader, answer(a.operation)},
		{http.MethodPost, "operations", guard.Operator, answer(a.operate)},
		{http.MethodPost, "operations/{id}/stop", guard.Operator, answer(a.stopOperation)},
		{http.MethodDelete, "operations/{id}", guard.Operator, answer(a.stopOperation)},
	}
}

func (a *API) operations(r *http.Request) (any, error) {
	return list(a.cfg.Actions.Operations()), known(r.URL.Query())
}

func (a *API) operation(r *http.Request) (any, error) {
	op, err := a.cfg.Actions.Operation(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return op, known(r.URL.Query())
}

func (a *API) operate(r *http.Request) (any, error) {
	var in api.Operation
	if err := body(r, &in); err != nil {
		return nil, err
	}
	op, err := a.cfg.Actions.Operate(r.Context(), guard.From(r.Context()), &in)
	if err != nil {
		return nil, err
	}
	return op, nil
}

func (a *API) stopOperation(r *http.Request) (any, error) {
	var in api.Reason
	if err := body(r, &in); err != nil {
		return nil, err
	}
	op, _, err := a.cfg.Actions.StopOperation(r.Context(), guard.From(r.Context()), r.PathValue("id"), in.Reason)
	if err != nil {
		return nil, err
	}
	return op, nil
}
