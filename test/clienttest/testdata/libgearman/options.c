/* What is said to the server about the connection itself: echo, namespaces, names. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

static void echo(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	char large[100000];

	memset(large, 'e', sizeof large);
	large[17] = '\0';
	fact("client: %s", name(gearman_client_echo(client, "hello", 5)));
	fact("client, large: %s", name(gearman_client_echo(client, large, sizeof large)));
	fact("worker: %s", name(gearman_worker_echo(worker, "a\0b", 3)));
	gearman_client_free(client);
	gearman_worker_free(worker);
}

static void call(gearman_client_st *client, const char *title)
{
	gearman_return_t code;
	size_t size;
	char *result = gearman_client_do(client, "note", NULL, title, strlen(title), &size, &code);

	fact("%s: %s %.*s", title, name(code), (int)size, result == NULL ? "" : result);
	free(result);
}

static gearman_return_t note_red(gearman_job_st *job, void *context)
{
	note("red:%s:", gearman_job_function_name(job));
	return fn_note(job, context);
}

/* One function in two namespaces and in none is three functions. */
static void namespaces(void)
{
	gearman_worker_st *plain = new_worker(), *red = new_worker();
	gearman_client_st *client = new_client();
	struct thread *threads[2];

	gearman_worker_set_namespace(red, "red/", 4);
	fact("namespace: %s", gearman_worker_namespace(red));
	define(plain, "note", fn_note);
	define(red, "note", note_red);
	threads[0] = work(plain);
	threads[1] = work(red);
	await_function("red/note", 0, 0, 1);
	await_function("note", 0, 0, 1);
	gearman_client_set_namespace(client, "red/", 4);
	call(client, "in red");
	show_notes("workers");
	gearman_client_set_namespace(client, NULL, 0);
	call(client, "in none");
	show_notes("workers");
	gearman_client_set_namespace(client, "blue/", 5);
	must(gearman_client_do_background(client, "note", NULL, "x", 1, NULL), "gearman_client_do_background");
	await_function("blue/note", 1, 0, 0);
	fact("in blue: queued");
	gearman_client_free(client);
	stop(threads[0]);
	stop(threads[1]);
}

/* The names that a worker and a client give themselves are shown by the command workers. */
static void identifiers(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	must(gearman_worker_set_identifier(worker, "the-worker", 10), "gearman_worker_set_identifier");
	define(worker, "one", fn_note);
	define(worker, "two", fn_note);
	t = work(worker);
	await_text("workers", " the-worker : one two\n");
	fact("worker: shown");
	must(gearman_client_set_identifier(client, "the-client", 10), "gearman_client_set_identifier");
	must(gearman_client_echo(client, "x", 1), "gearman_client_echo");
	await_text("workers", " the-client :\n");
	fact("client: shown");
	gearman_client_free(client);
	stop(t);
}

static void worker_options(void)
{
	gearman_worker_st *worker = new_worker();

	fact("exceptions: %d", gearman_worker_set_server_option(worker, "exceptions", 10));
	fact("nonsense: %d", gearman_worker_set_server_option(worker, "nonsense", 8));
	fact("still there: %s", name(gearman_worker_echo(worker, "x", 1)));
	gearman_worker_free(worker);
}

/* A second server in the list that nobody listens on is passed over. */
static void several_servers(void)
{
	gearman_client_st *client = gearman_client_create(NULL);
	gearman_worker_st *worker = gearman_worker_create(NULL);
	char servers[64];
	struct thread *t;

	snprintf(servers, sizeof servers, "127.0.0.1:1,%s:%u", server_host, server_port);
	must(gearman_client_add_servers(client, servers), "gearman_client_add_servers");
	snprintf(servers, sizeof servers, "%s:%u", server_host, server_port);
	must(gearman_worker_add_servers(worker, servers), "gearman_worker_add_servers");
	define(worker, "note", fn_note);
	t = work(worker);
	call(client, "second of two");
	gearman_client_remove_servers(client);
	must(gearman_client_add_server(client, server_host, server_port), "gearman_client_add_server");
	call(client, "only one");
	gearman_client_free(client);
	stop(t);
}

const struct scenario option_cases[] = {
	{"options_echo", echo},
	{"options_namespaces", namespaces},
	{"options_identifiers", identifiers},
	{"options_of_worker", worker_options},
	{"options_several_servers", several_servers},
	{NULL, NULL},
};
