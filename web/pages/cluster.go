package pages

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
)

// clusterCard shows how this broker and the database of the cluster are doing.
func clusterCard(c *api.Cluster) card {
	state := "well"
	if len(c.Problems) > 0 {
		state = strings.Join(c.Problems, "; ")
	}
	connection, lease := "open", "not handed out"
	if !c.Broker.Connected {
		connection = "lost"
	}
	if c.Broker.Lease > 0 {
		lease = "handed out for " + seconds(c.Broker.Lease) + " more"
	}
	rule := c.Rule
	if rule == "" {
		rule = "one machine only"
	}
	return card{"Cluster", []fact{
		{"state", state}, {"connection to the database", connection}, {"stored jobs", lease}, {"a commit waits for", rule},
		{"rows", number(c.Rows)}, {"oldest row", seconds(c.OldestRow)}, {"dead rows", number(c.DeadRows)},
		{"oldest snapshot", seconds(c.OldestSnapshot)}, {"tables", size(c.Bytes)}, {"taken over", number(c.Broker.Events["took_over"])},
		{"disowned", number(c.Broker.Events["disowned"])}, {"lease over", number(c.Broker.Events["suspended"])},
	}}
}

// seconds returns a duration as people read it.
func seconds(n float64) string {
	return (time.Duration(n * float64(time.Second))).Round(time.Second).String()
}

// clusterTables list the brokers and the standbys.
func clusterTables(c *api.Cluster) []table {
	brokers := table{
		Title: "Brokers that share the store", Heads: []string{"node", "address", "state", "run", "runs", "jobs", "last beat"},
		Empty: "None is known: the database does not answer.",
	}
	for _, b := range c.Brokers {
		node := b.Node
		if b.Run == c.Broker.Run {
			node += " (this one)"
		}
		brokers.Rows = append(brokers.Rows, []string{
			node, cmp.Or(b.Address, "–"), b.State, strconv.FormatUint(b.Run, 10), number(b.Runs), number(b.Jobs),
			seconds(b.BeatAge) + " ago",
		})
	}
	standbys := table{Title: "Standbys of the database", Heads: []string{"name", "state", "sync", "behind"}}
	for _, s := range c.Standbys {
		behind := size(s.Behind)
		if s.Behind < 0 {
			behind = "not known"
		}
		standbys.Rows = append(standbys.Rows, []string{s.Name, s.State, s.Sync, behind})
	}
	return []table{brokers, standbys}
}
