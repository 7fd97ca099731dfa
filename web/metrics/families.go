package metrics

// The types of families.
const (
	gauge   = "gauge"
	counter = "counter"
	histo   = "histogram"
)

// family is a metric's name with its type, help and labels.
type family struct {
	name, kind, help string
	labels           []string
}

var all []family // in the order of declaration

func declare(name, kind, help string, labels ...string) family {
	f := family{name, kind, help, labels}
	all = append(all, f)
	return f
}

// Metrics of the gearman exporter.
var (
	up          = declare("gearman_up", gauge, "1: the server answers.")
	versionInfo = declare("gearman_version_info", gauge, "Version of the server, as clients are told it.", "version")
	jobs        = declare("gearman_jobs", gauge, "Jobs of a function: queued, delayed and running.", "function")
	jobsRunning = declare("gearman_jobs_running", gauge, "Jobs that a worker has.", "function")
	jobsWaiting = declare("gearman_jobs_waiting", gauge, "Jobs that no worker has, delayed ones included.", "function")
	workers     = declare("gearman_workers", gauge, "Workers that can do a function.", "function")
)

// Functions.
var (
	waiting   = declare("gearloop_jobs_waiting", gauge, "Jobs that a worker could get now.", "function", "priority")
	delayed   = declare("gearloop_jobs_delayed", gauge, "Jobs whose time has not come.", "function")
	oldest    = declare("gearloop_oldest_waiting_seconds", gauge, "How long the job has waited that has waited longest; 0 when none waits.", "function")
	submitted = declare("gearloop_jobs_submitted_total", counter, "Submissions taken in.", "function", "kind")
	coalesced = declare("gearloop_jobs_coalesced_total", counter, "Submissions that joined a job with the same unique id.", "function")
	adopted   = declare("gearloop_jobs_adopted_total", counter, "Jobs that were stored by an earlier run.", "function")
	handedOut = declare("gearloop_jobs_handed_out_total", counter, "Jobs given to workers; a job counts each time.", "function")
	putBack   = declare("gearloop_jobs_put_back_total", counter, "Jobs that a worker lost and that wait for another.", "function")
	heldBack  = declare("gearloop_held_back_total", counter, "Jobs kept from workers because their function is paused.", "function", "by")
	ended     = declare("gearloop_jobs_ended_total", counter, "Jobs that have ended, by outcome.", "function", "outcome")
	sleeping  = declare("gearloop_workers_sleeping", gauge, "Workers of a function that wait for NOOP.", "function")
	busy      = declare("gearloop_workers_busy", gauge, "Workers of a function that have a job, of any function.", "function")
	paused    = declare("gearloop_function_paused", gauge, "1: somebody has paused the function. It is missing otherwise.", "function")
	closed    = declare("gearloop_function_closed", gauge, "1: somebody has closed the function. It is missing otherwise.", "function")
	hidden    = declare("gearloop_metrics_functions_hidden", gauge, "Functions that are part of function=__other__.")
)

// Times of jobs.
var (
	waitTimes         = declare("gearloop_job_wait_seconds", histo, "From submission, or from when a job is due or put back, to a worker.")
	runTimes          = declare("gearloop_job_run_seconds", histo, "From a worker getting a job until it is done with it or loses it.")
	lifeTimes         = declare("gearloop_job_duration_seconds", histo, "From submission to the end of a job.")
	functionWaitTimes = declare("gearloop_function_wait_seconds", histo, "gearloop_job_wait_seconds of one function.", "function")
	functionRunTimes  = declare("gearloop_function_run_seconds", histo, "gearloop_job_run_seconds of one function.", "function")
	functionLifeTimes = declare("gearloop_function_duration_seconds", histo, "gearloop_job_duration_seconds of one function.", "function")
)

// The broker.
var (
	functions     = declare("gearloop_functions", gauge, "Functions that are known.")
	refused       = declare("gearloop_submissions_refused_total", counter, "Submissions that were refused, by reason.", "reason")
	allWorkers    = declare("gearloop_workers", gauge, "Connections that can do a function.")
	asleep        = declare("gearloop_workers_asleep", gauge, "Workers that wait for NOOP.")
	memoryLimit   = declare("gearloop_memory_limit_bytes", gauge, "What --max-memory allows; 0 is no bound.")
	memoryUsed    = declare("gearloop_memory_used_bytes", gauge, "Memory that --max-memory counts, by what it is for.", "part")
	draining      = declare("gearloop_draining", gauge, "1: the server accepts no more connections and ends once no job is left.")
	buildInfo     = declare("gearloop_build_info", gauge, "1, with what the server is.", "version", "go", "dialect")
	certificate   = declare("gearloop_tls_certificate_expiry_timestamp_seconds", gauge, "When the first certificate in a file expires.", "file")
	internalFault = declare("gearloop_internal_faults_total", counter, "Faults of the program itself that it survived.")
)

// The operator's side.
var (
	reloadOK    = declare("gearloop_config_last_reload_success", gauge, "1: the last SIGHUP or reload could read all files again, or there was none.")
	reloadTime  = declare("gearloop_config_last_reload_timestamp_seconds", gauge, "When files were read last, at the latest at the start.")
	actions     = declare("gearloop_admin_actions_total", counter, "What operators asked for, by result.", "action", "result")
	requests    = declare("gearloop_http_requests_total", counter, "Requests to --web and --admin-socket that were answered.", "route", "code")
	requestTime = declare("gearloop_http_request_seconds", histo, "How long answering requests took, but for streams of events.", "route")
	streams     = declare("gearloop_events_streams", gauge, "Streams of events that are open.")
)

// Connections.
var (
	connections   = declare("gearloop_connections", gauge, "Connections to the Gearman port.")
	connectionsTL = declare("gearloop_connections_tls", gauge, "Of these, those over TLS.")
	connectionMax = declare("gearloop_connections_limit", gauge, "Connections that there may be at a time.")
	halfClosed    = declare("gearloop_connections_half_closed", gauge, "Connections whose peers send no more and are still written to.")
	accepted      = declare("gearloop_connections_accepted_total", counter, "Connections accepted, by address.", "listener")
	closedTotal   = declare("gearloop_connections_closed_total", counter, "Connections that have ended, by reason.", "reason")
	acceptWaits   = declare("gearloop_connections_waited_total", counter, "Connections that found too many others and waited.")
	turnedAway    = declare("gearloop_connections_turned_away_total", counter, "Connections that found no room to wait.")
	acceptErrors  = declare("gearloop_accept_errors_total", counter, "Connections that could not be accepted at once.")
	handshakes    = declare("gearloop_tls_handshakes_total", counter, "TLS handshakes, by result.", "result")
	bytesIn       = declare("gearloop_received_bytes_total", counter, "Bytes read from connections.")
	bytesOut      = declare("gearloop_sent_bytes_total", counter, "Bytes written to connections.")
	packetsIn     = declare("gearloop_packets_received_total", counter, "Packets received, by type.", "type")
	packetsOut    = declare("gearloop_packets_sent_total", counter, "Packets sent, by type.", "type")
	textCommands  = declare("gearloop_text_commands_total", counter, "Text commands answered.")
	badHeaders    = declare("gearloop_proxy_headers_refused_total", counter, "Connections closed because of a PROXY header, or for want of one.")
	noRight       = declare("gearloop_rights_refused_total", counter, "Requests and connections that the access list gives no right to, by right.", "right")
	errorsSent    = declare("gearloop_errors_sent_total", counter, "ERROR packets sent, by code.", "code")
)

// Event loops.
var (
	loopTurn     = declare("gearloop_loop_turn_seconds", histo, "How long turns of a loop took; one in 16 is timed.", "loop")
	loopLag      = declare("gearloop_loop_lag_seconds", histo, "How long a loop took to answer; it is asked once a second.", "loop")
	loopTurns    = declare("gearloop_loop_turns_total", counter, "Turns: all connections that are ready are read, and answers written.", "loop")
	loopReads    = declare("gearloop_loop_connections_read_total", counter, "Connections read in turns.", "loop")
	loopPackets  = declare("gearloop_loop_packets_read_total", counter, "Packets read in turns.", "loop")
	loopWrites   = declare("gearloop_loop_writes_total", counter, "Calls to the system that write.", "loop")
	loopMail     = declare("gearloop_mailbox_items_total", counter, "Messages that came from other loops.", "loop")
	loopBatches  = declare("gearloop_mailbox_batches_total", counter, "Times that these were taken up.", "loop")
	loopStoodIn  = declare("gearloop_mailbox_stood_in_total", counter, "Times that another loop took them up, while this one slept.", "loop")
	loopBuffered = declare("gearloop_output_buffered_bytes", gauge, "Output that peers have not taken.", "loop")
	loopRunning  = declare("gearloop_loop_running", gauge, "1: the loop runs; 0: another one serves its connections, as there is little to do.", "loop")
	loopConns    = declare("gearloop_loop_connections", gauge, "Connections of a loop.", "loop")
)

// The store.
var (
	storeUp      = declare("gearloop_store_up", gauge, "1: background jobs are stored; 0: they are refused.")
	storeJobs    = declare("gearloop_store_jobs", gauge, "Jobs that are stored.")
	storeBytes   = declare("gearloop_store_bytes", gauge, "Bytes of stored jobs (live), and all bytes that the store takes (disk).", "kind")
	storeQueued  = declare("gearloop_store_queued_bytes", gauge, "Bytes that wait to be written.")
	storeSync    = declare("gearloop_store_sync_seconds", histo, "How long disk syncs of jobs took.")
	storeBatch   = declare("gearloop_store_batch_jobs", histo, "Jobs that were written together.")
	storeWritten = declare("gearloop_store_written_bytes_total", counter, "Bytes written to the log.")
	storeFails   = declare("gearloop_store_failures_total", counter, "Times that the store failed, by what it was doing.", "op")
	storeSegs    = declare("gearloop_store_segments", gauge, "Files of the log.")
	storeLoad    = declare("gearloop_store_load_seconds", gauge, "How long loading the store took at the start.")
	storeFree    = declare("gearloop_store_free_bytes", gauge, "Space left on the disk of the store.")
)

// The brokers that share the store.
var (
	clusterConnected = declare("gearloop_cluster_connected", gauge, "1: this broker's connection for batches to the database is open.")
	clusterLease     = declare("gearloop_cluster_lease_seconds", gauge, "For how long this broker may still hand out stored jobs; 0: it does not.")
	clusterChanges   = declare("gearloop_cluster_state_changes_total", counter, "Changes of this broker's state among the brokers, by what happened.", "event")
	clusterSeen      = declare("gearloop_cluster_seen_timestamp_seconds", gauge, "When the database was asked last for what follows.")
	clusterBrokers   = declare("gearloop_cluster_brokers", gauge, "Brokers that have runs, by state.", "state")
	clusterRuns      = declare("gearloop_cluster_runs", gauge, "Runs that a broker has, its own and those it took over.", "node", "run")
	clusterBeat      = declare("gearloop_cluster_beat_age_seconds", gauge, "How long ago a broker beat last.", "node", "run")
	clusterJobs      = declare("gearloop_cluster_jobs", gauge, "Stored jobs that a broker had at its last beat.", "node", "run")
	clusterRows      = declare("gearloop_cluster_rows", gauge, "Rows of jobs in the database; counted once a minute at most.")
	clusterOldest    = declare("gearloop_cluster_oldest_row_seconds", gauge, "Since when the oldest of these rows is stored.")
	clusterDead      = declare("gearloop_cluster_dead_rows", gauge, "Rows of ended jobs that still take room.")
	clusterSnapshot  = declare("gearloop_cluster_oldest_snapshot_seconds", gauge, "Age of the oldest transaction that keeps such rows from being removed.")
	clusterStandbys  = declare("gearloop_cluster_standbys", gauge, "Standbys of the database, by what commits think of them.", "sync")
	clusterBehind    = declare("gearloop_cluster_standby_behind_bytes", gauge, "Log that a standby has not put on its disk yet.", "standby")
	clusterProblems  = declare("gearloop_cluster_problems", gauge, "What gearloop cluster status would complain about.")
)
