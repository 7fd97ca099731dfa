package api

import "time"

// Cluster is the answer of GET cluster, and of gearloop cluster status --json: the brokers that share a
// store, and its database.
type Cluster struct {
	At       time.Time        `json:"at"` // when the database was looked at
	Format   int              `json:"format"`
	Brokers  []ClusterBroker  `json:"brokers"`
	Standbys []ClusterStandby `json:"standbys"`
	// Rule is synchronous_standby_names of the database; without it a commit waits for one machine only.
	Rule      string  `json:"commit_waits_for"`
	Rows      int64   `json:"rows"`
	OldestRow float64 `json:"oldest_row_seconds"`
	// OldestSnapshot is the age of the oldest transaction that keeps deleted rows from being removed.
	OldestSnapshot float64 `json:"oldest_snapshot_seconds"`
	DeadRows       int64   `json:"dead_rows"`
	Bytes          int64   `json:"bytes"`
	// Problems are sentences, none when all is well.
	Problems []string `json:"problems"`

	// Broker is the state of the broker that was asked; missing where the database was asked by a command.
	Broker *ClusterSelf `json:"broker,omitempty"`
}

// ClusterBroker is one of the brokers.
type ClusterBroker struct {
	Node    string  `json:"node"`
	Address string  `json:"address"`
	Run     uint64  `json:"run"`   // that it began with
	Runs    int     `json:"runs"`  // that it has, those of others that it took over included
	State   string  `json:"state"` // alive, silent (nobody has taken its jobs over yet) or released (it has ended)
	Beats   int64   `json:"beats"`
	BeatAge float64 `json:"beat_age_seconds"`
	Jobs    int64   `json:"jobs"` // at its last beat
}

// ClusterStandby is a copy of the database.
type ClusterStandby struct {
	Name   string `json:"name"`
	State  string `json:"state"`        // of replication, as PostgreSQL has it
	Sync   string `json:"sync"`         // async, sync, quorum or potential
	Behind int64  `json:"behind_bytes"` // -1: the role may not see it
}

// ClusterSelf is how a broker stands in the cluster.
type ClusterSelf struct {
	Run       uint64           `json:"run"`           // 0: it has no place among the brokers at present
	Connected bool             `json:"connected"`     // to the database
	Lease     float64          `json:"lease_seconds"` // for which stored jobs may still be handed out; 0: they are not
	Events    map[string]Count `json:"events_total"`  // changes of its state
}
