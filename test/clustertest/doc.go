// Package clustertest tests brokers that share a database, with real processes and real faults: brokers,
// database nodes and connections are killed, frozen and cut while clients submit and workers work.
//
// A ledger has what clients and workers know. Each acknowledged job has to run at least once, and a job runs
// again only if a fault explains it. Two controls show that the ledger finds losses: one has no synchronous
// standby, the other's broker sends batches again without the fence.
//
// In make test each fault happens once. make cluster-test has them happen more often and for longer
// (GEARLOOP_CLUSTER=long).
package clustertest
