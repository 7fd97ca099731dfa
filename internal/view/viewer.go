package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gearloop/api"
)

// A viewer sees numbers and names of functions, but no handles, unique ids, addresses or client ids of peers,
// no paths, and neither who changed a setting nor the reason they gave.

// plainCauses are the causes whose texts contain only numbers and names of functions.
var plainCauses = []string{
	api.CauseDelayed, api.CauseStoring, api.CauseShelved, api.CauseBehind, api.CauseAsleep, api.CauseUnwanted, api.CauseNothing,
}

// viewersCauses are the texts of other causes for viewers.
var viewersCauses = map[string]string{
	api.CauseDraining:   "The broker is ending.",
	api.CausePaused:     "The function is paused.",
	api.CauseClosed:     "The function takes no new jobs.",
	api.CauseStoreFails: "The store takes no jobs.",
	api.CauseNoWorkers:  "No worker is connected that can do it.",
	api.CauseAllBusy:    "All of its workers have jobs.",
	api.CauseWoken:      "Workers were sent NOOP, and have not asked for a job since.",
	api.CauseNotAsking:  "Workers are awake without a job, and do not ask for one.",
	api.CauseRunning:    "Jobs are running.",
}

// CausesForViewer returns causes as a viewer sees them.
func CausesForViewer(all []api.Cause) []api.Cause {
	all = slices.Clone(all)
	for i := range all {
		c := &all[i]
		c.Peer = nil
		if text, ok := viewersCauses[c.Kind]; ok {
			c.Text = text
		} else if !slices.Contains(plainCauses, c.Kind) {
			c.Text = strings.ReplaceAll(c.Kind, "_", " ")
		}
	}
	return all
}

// FunctionForViewer returns a function as a viewer sees it.
func FunctionForViewer(f api.Function) api.Function {
	f.Paused, f.Closed = settingForViewer(f.Paused), settingForViewer(f.Closed)
	return f
}

func settingForViewer(set *api.Setting) *api.Setting {
	if set == nil {
		return nil
	}
	return &api.Setting{Since: set.Since, Until: set.Until}
}

// StoreForViewer returns the store as a viewer sees it: without its place, and without its error, which may
// name it.
func StoreForViewer(s api.Store) api.Store {
	s.Directory = ""
	if s.Error != "" {
		s.Error = "it fails"
	}
	return s
}

// ClusterForViewer returns a cluster as a viewer is shown it: not where brokers are reached, nor the error of a
// connection to the database, which says where that is and who connects.
func ClusterForViewer(c api.Cluster) api.Cluster {
	c.Brokers, c.Problems = slices.Clone(c.Brokers), slices.Clone(c.Problems)
	for i := range c.Brokers {
		c.Brokers[i].Address = ""
	}
	for i, problem := range c.Problems {
		if strings.HasPrefix(problem, noAnswer) {
			c.Problems[i] = noAnswer
		}
	}
	return c
}

// ServerForViewer returns the broker as a viewer sees it.
func ServerForViewer(s api.Server) api.Server {
	s.Listeners = []api.Listener{}
	s.Attention = slices.Clone(s.Attention)
	for i := range s.Attention {
		c := &s.Attention[i]
		name := strings.ToValidUTF8(api.Join(c.Function, c.FunctionBase64), "�")
		switch c.Kind {
		case "paused":
			c.Text = name + ": paused" + ago(c.Since)
		case "closed":
			c.Text = name + ": closed for submissions" + ago(c.Since)
		case "store":
			c.Text = "Background jobs can't be stored and are refused"
		case "certificate":
			c.Text = "A certificate has expired or will soon"
		}
	}
	return s
}

// NetworkForViewer returns the figures of the network as a viewer sees them: connections by the kind of their
// listener, without addresses, and certificates without the names of their files.
func NetworkForViewer(n api.Network) api.Network {
	n.Certificates = slices.Clone(n.Certificates)
	for i := range n.Certificates {
		n.Certificates[i].File = ""
	}
	all := map[string]api.Count{}
	for listener, k := range n.Accepted {
		kind, _, _ := strings.Cut(listener, ":")
		all[kind] += k
	}
	n.Accepted = all
	return n
}

func ago(at *api.Instant) string {
	if at == nil {
		return ""
	}
	return fmt.Sprintf(" %s ago", (time.Duration(at.Ago) * time.Second))
}
