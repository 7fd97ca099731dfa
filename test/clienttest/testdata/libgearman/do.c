/* One job at a time: gearman_client_do and its relatives. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

typedef void *do_fn(gearman_client_st *, const char *, const char *, const void *, size_t, size_t *, gearman_return_t *);
typedef gearman_return_t background_fn(gearman_client_st *, const char *, const char *, const void *, size_t,
                                       gearman_job_handle_t);

/* call does a job and prints its result. */
static void call(gearman_client_st *client, const char *title, do_fn *function, const char *job, const char *unique,
                 const char *argument)
{
	gearman_return_t code;
	size_t size = 0;
	char *result = function(client, job, unique, argument, strlen(argument), &size, &code);

	fact("%s: %s %.*s", title, name(code), (int)size, result == NULL ? "" : result);
	free(result);
}

static gearman_return_t code_of_nothing(gearman_client_st *client)
{
	gearman_return_t code;
	size_t size;

	free(gearman_client_do(client, "reverse", "", NULL, 0, &size, &code));
	fact("no argument: %s %zu", name(code), size);
	return code;
}

static void every_priority(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	define(worker, "reverse", fn_reverse);
	define(worker, "steps", fn_steps);
	define(worker, "fail", fn_fail);
	t = work(worker);
	call(client, "do", gearman_client_do, "reverse", NULL, "normal");
	call(client, "do_high", gearman_client_do_high, "reverse", NULL, "high");
	call(client, "do_low", gearman_client_do_low, "reverse", "a unique id", "low");
	must(code_of_nothing(client), "a job without an argument");
	/* The library joins data to the result. */
	call(client, "data", gearman_client_do, "steps", NULL, "x");
	call(client, "failing", gearman_client_do, "fail", NULL, "x");
	call(client, "after it", gearman_client_do, "reverse", NULL, "again");
	gearman_client_free(client);
	stop(t);
}

static void bytes(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	unsigned char all[1024];
	gearman_return_t code;
	size_t size;
	void *result;
	struct thread *t;

	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (unsigned char)i;
	define(worker, "echo", fn_echo);
	t = work(worker);
	result = gearman_client_do(client, "echo", NULL, all, sizeof all, &size, &code);
	must(code, "gearman_client_do");
	fact("every byte: %s", size == sizeof all && memcmp(result, all, size) == 0 ? "intact" : "broken");
	free(result);
	gearman_client_free(client);
	stop(t);
}

static void background(void)
{
	static const struct {
		const char *name;
		background_fn *function;
	} all[] = {
		{"low", gearman_client_do_low_background},
		{"normal", gearman_client_do_background},
		{"high", gearman_client_do_high_background},
	};
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_job_handle_t handle;
	struct thread *t;

	for (size_t i = 0; i < 3; i++) {
		gearman_return_t code = all[i].function(client, "note", NULL, all[i].name, strlen(all[i].name), handle);
		fact("%s: %s %s", all[i].name, name(code), form(handle));
	}
	/* The jobs outlive their client. */
	gearman_client_free(client);
	await_function("note", 3, 0, 0);
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	show_notes("order");
	stop(t);
}

/* A client that gives up leaves no job behind. */
static void impatient(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;
	int64_t began = now(), took;

	gearman_client_set_timeout(client, 300);
	fact("timeout: %d", gearman_client_timeout(client));
	call(client, "nobody works", gearman_client_do, "note", NULL, "lost");
	took = now() - began;
	fact("waited as told: %s", took >= 290 && took < 50000 ? "yes" : "no");
	gearman_client_free(client);
	/* A worker that asks before the server has noticed would get the job. */
	await_text("show jobs", "\t0\t1\t0\n");

	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	client = new_client();
	call(client, "next", gearman_client_do, "note", NULL, "next");
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

static void no_server(void)
{
	gearman_client_st *client = gearman_client_create(NULL);
	gearman_return_t code;
	size_t size;

	gearman_client_do(client, "f", NULL, "x", 1, &size, &code);
	fact("without a server: %s", name(code));
	gearman_client_free(client);
}

const struct scenario do_cases[] = {
	{"do_every_priority", every_priority},
	{"do_bytes", bytes},
	{"do_background", background},
	{"do_impatient", impatient},
	{"do_no_server", no_server},
	{NULL, NULL},
};
