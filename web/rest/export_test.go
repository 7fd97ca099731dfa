package rest

// Route is a route as tests see it.
type Route struct{ Method, Path, Role string }

// Routes returns everything that can be asked for.
func Routes() (all []Route) {
	for _, r := range (&API{}).routes() {
		all = append(all, Route{r.method, r.path, r.role.String()})
	}
	return all
}
