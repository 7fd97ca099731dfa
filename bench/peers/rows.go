package main

// section is a part of the table.
type section int

const (
	inMemory section = iota // background jobs that a restart loses
	durable                 // background jobs that outlive a crash
	request                 // a request and its result
)

// row is a line of the table.
type row struct {
	section section
	server  string // in servers
	title   string
	note    string
}

// rows are all of them. The note says: in memory, what it does not do; durable, the setting, and what a loss of power loses;
// of requests, how they are made.
var rows = []row{
	{inMemory, "gearloop", "Gearloop", "several readers of one job, replay of old jobs, replicas without a database"},
	{inMemory, "c", "C gearmand", "the same"},
	{inMemory, "perl", "Perl Gearman::Server", "the same, and low priority, durable jobs"},
	{inMemory, "beanstalkd", "beanstalkd", "results, status, unique ids, replicas"},
	{inMemory, "redis-list", "Redis, list (BLMOVE)", "results, status, unique ids, priorities in a list; the job of a lost worker stays in its list until somebody moves it"},
	{inMemory, "redis-stream", "Redis, stream with a group", "results, status, unique ids, priorities; the job of a lost worker waits until another one claims it"},
	{inMemory, "nats", "NATS JetStream, work queue", "results, status, priorities; unique ids for a time only (2 minutes); the job of a lost worker waits for a time-out"},
	{inMemory, "rabbitmq", "RabbitMQ, classic queue", "status, unique ids, results for background jobs"},
	{durable, "gearloop-durable", "Gearloop", "`--sync always`: fdatasync before the answer, shared by jobs. Loses nothing acknowledged"},
	{durable, "c-durable", "C gearmand", "`-q libsqlite3`: a transaction with four syncs for each job, before the answer. Loses nothing acknowledged"},
	{durable, "beanstalkd-durable", "beanstalkd", "`-b DIR -f0`: fsync for each job and each end, before the answer. Loses nothing acknowledged"},
	{durable, "redis-list-durable", "Redis, list (BLMOVE)", "`appendfsync always`: fdatasync before the answers, shared by jobs. Loses nothing acknowledged"},
	{durable, "redis-stream-durable", "Redis, stream with a group", "the same"},
	{durable, "nats-durable", "NATS JetStream, work queue", "file storage, `sync_interval: always`, one replica: fsync before the answer. Loses nothing acknowledged"},
	{durable, "rabbitmq-durable", "RabbitMQ, classic queue", "durable queue, persistent messages, confirms: fsync or a worker's end of the job before the confirm. Loses nothing confirmed"},
	{durable, "rabbitmq-quorum", "RabbitMQ, quorum queue", "a quorum of one node here, confirms: fsync of its log before the confirm. Loses nothing confirmed; with three nodes survives the loss of one"},
	{request, "gearloop", "Gearloop", "foreground job"},
	{request, "c", "C gearmand", "foreground job"},
	{request, "perl", "Perl Gearman::Server", "foreground job"},
	{request, "beanstalkd", "beanstalkd", "by hand: a tube for each client's results"},
	{request, "redis-list", "Redis, list (BLMOVE)", "by hand: a list for each client's results"},
	{request, "nats", "NATS, core", "its own request-reply. There is no queue: a busy worker gets requests while others are idle, and without workers a request fails"},
	{request, "rabbitmq", "RabbitMQ, classic queue", "its own direct reply-to"},
}
