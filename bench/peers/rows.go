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

// rows are all of them. The note says, in memory, what cannot be had; of durable jobs, the setting, and what the loss of power loses;
// of requests, how they are made.
var rows = []row{
	{inMemory, "gearloop", "Gearloop", "fan-out to several consumers, replay of old messages"},
	{inMemory, "c", "C gearmand", "the same, and bounded memory"},
	{inMemory, "perl", "Perl Gearman::Server", "the same, and low priority, durable jobs"},
	{inMemory, "beanstalkd", "beanstalkd", "results, progress, unique ids"},
	{inMemory, "redis-list", "Redis, list (BLMOVE)", "results, progress, unique ids, priorities in a list; a lost worker's job stays in its list until somebody moves it"},
	{inMemory, "redis-stream", "Redis, stream with a group", "results, progress, unique ids, priorities; a lost worker's job waits until another one claims it"},
	{inMemory, "nats", "NATS JetStream, work queue", "results, progress, priorities; unique ids for two minutes only; a lost worker's job waits for a time-out"},
	{inMemory, "rabbitmq", "RabbitMQ, classic queue", "progress, unique ids"},
	{durable, "gearloop-durable", "Gearloop", "`--sync always`: fdatasync before the answer, shared by jobs; loses nothing acknowledged"},
	{durable, "c-durable", "C gearmand", "`-q libsqlite3`: a synced transaction for each job; loses nothing acknowledged"},
	{durable, "beanstalkd-durable", "beanstalkd", "`-b -f0`: fsync for each job; loses nothing acknowledged"},
	{durable, "redis-list-durable", "Redis, list (BLMOVE)", "`appendfsync always`: fdatasync before the answers of a turn; loses nothing acknowledged"},
	{durable, "redis-stream-durable", "Redis, stream with a group", "the same"},
	{durable, "nats-durable", "NATS JetStream, work queue", "file storage, `sync_interval: always`, one replica: loses nothing acknowledged"},
	{durable, "rabbitmq-durable", "RabbitMQ, classic queue", "durable queue, persistent messages, confirms: fsync before the confirm; loses nothing confirmed"},
	{durable, "rabbitmq-quorum", "RabbitMQ, quorum queue", "confirms, quorum of one node: fsync of its log before the confirm; loses nothing confirmed, not even a node if it has three"},
	{request, "gearloop", "Gearloop", "foreground job"},
	{request, "c", "C gearmand", "foreground job"},
	{request, "perl", "Perl Gearman::Server", "foreground job"},
	{request, "beanstalkd", "beanstalkd", "by hand: a tube for each client's results"},
	{request, "redis-list", "Redis, list (BLMOVE)", "by hand: a list for each client's results"},
	{request, "nats", "NATS, core", "its own request-reply: no queue, a busy worker gets requests while others are idle, and without a worker a request fails at once"},
	{request, "rabbitmq", "RabbitMQ, classic queue", "its own direct reply-to"},
}
