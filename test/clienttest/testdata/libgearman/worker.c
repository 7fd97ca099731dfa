/* The life of a worker: what it can do, how it gets and ends jobs. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

static void call(gearman_client_st *client, const char *function, const char *argument)
{
	gearman_return_t code;
	size_t size;
	char *result = gearman_client_do(client, function, NULL, argument, strlen(argument), &size, &code);

	fact("%s: %s %.*s", function, name(code), (int)size, result == NULL ? "" : result);
	free(result);
}

/* Functions of version 1 return their result. */
static void *v1_upper(gearman_job_st *job, void *context, size_t *size, gearman_return_t *code)
{
	char *result = text(job);

	for (char *c = result; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	*size = gearman_job_workload_size(job);
	*code = GEARMAN_SUCCESS;
	note("%s", (const char *)context);
	return result;
}

static void *v1_nothing(gearman_job_st *job, void *context, size_t *size, gearman_return_t *code)
{
	(void)job;
	(void)context;
	*size = 0;
	*code = GEARMAN_SUCCESS;
	return NULL;
}

static void *v1_fail(gearman_job_st *job, void *context, size_t *size, gearman_return_t *code)
{
	(void)job;
	(void)context;
	*size = 0;
	*code = GEARMAN_WORK_FAIL;
	return NULL;
}

static void version_one(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	must(gearman_worker_add_function(worker, "upper", 0, v1_upper, "context"), "gearman_worker_add_function");
	must(gearman_worker_add_function(worker, "nothing", 0, v1_nothing, NULL), "gearman_worker_add_function");
	must(gearman_worker_define_function(worker, "fail", 4, gearman_function_create_v1(v1_fail), 0, NULL),
	     "gearman_worker_define_function");
	t = work(worker);
	call(client, "upper", "abc");
	show_notes("worker");
	call(client, "nothing", "abc");
	call(client, "fail", "abc");
	call(client, "upper", "def");
	gearman_client_free(client);
	stop(t);
}

static gearman_return_t nothing(gearman_job_st *job, void *context)
{
	(void)job;
	(void)context;
	return GEARMAN_SUCCESS;
}

static gearman_return_t only_data(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_data(job, "data", 4);
}

/* An error, other than a failure, is a worker's request for another try: it leaves the server. */
static int tries;

static gearman_return_t flaky(gearman_job_st *job, void *context)
{
	if (++tries < 3)
		return GEARMAN_ERROR;
	note("%d tries", tries);
	return fn_echo(job, context);
}

static void version_two(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	define(worker, "nothing", nothing);
	define(worker, "data", only_data);
	define(worker, "flaky", flaky);
	define(worker, "fail", fn_fail);
	t = work(worker);
	call(client, "nothing", "x");
	call(client, "data", "x");
	call(client, "flaky", "again");
	show_notes("worker");
	call(client, "fail", "x");
	gearman_client_free(client);
	stop(t);
}

/* declare lets the worker tell the server what it can do now, which it does when it asks for a job. */
static void declare(gearman_worker_st *worker)
{
	gearman_return_t code;

	if (gearman_worker_grab_job(worker, NULL, &code) != NULL)
		fail("a job where there is none");
}

/* Registering and unregistering while connected. */
static void abilities(void)
{
	gearman_worker_st *worker = new_worker();

	must(gearman_worker_register(worker, "one", 0), "gearman_worker_register");
	must(gearman_worker_register(worker, "two", 0), "gearman_worker_register");
	must(gearman_worker_register(worker, "three", 0), "gearman_worker_register");
	declare(worker);
	await_function("one", 0, 0, 1);
	await_function("two", 0, 0, 1);
	await_function("three", 0, 0, 1);
	fact("registered");
	fact("two exists: %d", gearman_worker_function_exist(worker, "two", 3));
	must(gearman_worker_unregister(worker, "two"), "gearman_worker_unregister");
	declare(worker);
	await_function("one", 0, 0, 1);
	await_function("two", 0, 0, 0);
	await_function("three", 0, 0, 1);
	fact("unregistered two");
	fact("two exists: %d", gearman_worker_function_exist(worker, "two", 3));
	fact("again: %s", name(gearman_worker_unregister(worker, "two")));
	must(gearman_worker_unregister_all(worker), "gearman_worker_unregister_all");
	declare(worker);
	await_function("one", 0, 0, 0);
	await_function("three", 0, 0, 0);
	fact("unregistered all");
	fact("again: %s", name(gearman_worker_unregister_all(worker)));
	gearman_worker_free(worker);
}

/* A worker that has no function any more has nothing to work at; with one again it has. */
static void back_again(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	define(worker, "note", fn_note);
	must(gearman_worker_unregister_all(worker), "gearman_worker_unregister_all");
	fact("without functions: %s", name(gearman_worker_work(worker)));
	define(worker, "note", fn_note);
	t = work(worker);
	call(client, "note", "back");
	gearman_client_free(client);
	stop(t);
}

#define MANY 500

/* A worker with very many functions gets the jobs of each. */
static void many_functions(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;
	char function[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(function, sizeof function, "function%d", i);
		define(worker, function, fn_note);
	}
	t = work(worker);
	await_function("function499", 0, 0, 1);
	for (int i = 0; i < MANY; i += 100) {
		snprintf(function, sizeof function, "function%d", i);
		call(client, function, function);
	}
	call(client, "function499", "last");
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

/* A worker that grabs and ends its jobs by hand. */
static void by_hand(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	gearman_job_handle_t handle;
	gearman_return_t code;
	gearman_job_st *first, *second;
	bool known, running;

	must(gearman_worker_register(worker, "f", 0), "gearman_worker_register");
	must(gearman_client_do_background(client, "f", "first-id", "first", 5, handle), "first");
	must(gearman_client_do_background(client, "f", "second-id", "second", 6, NULL), "second");
	gearman_worker_add_options(worker, GEARMAN_WORKER_GRAB_UNIQ);
	first = gearman_worker_grab_job(worker, NULL, &code);
	must(code, "gearman_worker_grab_job");
	fact("first: %s %s %s %.*s", form(gearman_job_handle(first)), gearman_job_function_name(first),
	     gearman_job_unique(first), (int)gearman_job_workload_size(first), (const char *)gearman_job_workload(first));
	fact("handle: %s", strcmp(handle, gearman_job_handle(first)) == 0 ? "the client's" : "another");
	/* It may have two at a time. */
	second = gearman_worker_grab_job(worker, NULL, &code);
	must(code, "gearman_worker_grab_job");
	fact("second: %s %.*s", gearman_job_unique(second), (int)gearman_job_workload_size(second),
	     (const char *)gearman_job_workload(second));
	await_function("f", 2, 2, 1);
	fact("complete: %s", name(gearman_job_send_complete(first, NULL, 0)));
	await_function("f", 1, 1, 1);
	gearman_client_job_status(client, handle, &known, &running, NULL, NULL);
	fact("known %d running %d", known, running);
	fact("fail: %s", name(gearman_job_send_fail(second)));
	await_function("f", 0, 0, 1);
	gearman_job_free(first);
	gearman_job_free_all(worker);
	fact("nothing left: %s", gearman_worker_grab_job(worker, NULL, &code) == NULL ? name(code) : "a job");
	gearman_worker_free(worker);
	gearman_client_free(client);
}

/* The three ways to ask for a job, the newest of which also tells the reducer. */
static void ways_to_grab(void)
{
	static const gearman_worker_options_t all[] = {0, GEARMAN_WORKER_GRAB_UNIQ, GEARMAN_WORKER_GRAB_ALL};
	gearman_client_st *client = new_client();
	gearman_return_t code;

	for (int i = 0; i < 3; i++) {
		gearman_worker_st *worker = new_worker();
		gearman_job_st *job;

		gearman_worker_remove_options(worker, GEARMAN_WORKER_GRAB_UNIQ | GEARMAN_WORKER_GRAB_ALL);
		gearman_worker_add_options(worker, all[i]);
		must(gearman_worker_register(worker, "f", 0), "gearman_worker_register");
		must(gearman_client_do_background(client, "f", "an-id", "x", 1, NULL), "gearman_client_do_background");
		job = gearman_worker_grab_job(worker, NULL, &code);
		must(code, "gearman_worker_grab_job");
		fact("unique: %s", gearman_job_unique(job));
		must(gearman_job_send_complete(job, NULL, 0), "gearman_job_send_complete");
		gearman_worker_free(worker);
		await_function("f", 0, 0, 0);
	}
	gearman_client_free(client);
}

/* gearman_worker_work gives up after the worker's own limit, and works on afterwards. */
static void gives_up(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	int64_t began = now();

	define(worker, "note", fn_note);
	gearman_worker_set_timeout(worker, 200);
	fact("timeout: %d", gearman_worker_timeout(worker));
	fact("work: %s", name(gearman_worker_work(worker)));
	fact("waited as told: %s", now() - began >= 190 && now() - began < 50000 ? "yes" : "no");
	must(gearman_client_do_background(client, "note", NULL, "job", 3, NULL), "gearman_client_do_background");
	gearman_worker_set_timeout(worker, -1);
	fact("work: %s", name(gearman_worker_work(worker)));
	show_notes("worker");
	gearman_client_free(client);
	gearman_worker_free(worker);
}

static gearman_return_t last_job(gearman_job_st *job, void *context)
{
	must(fn_note(job, context), "fn_note");
	return GEARMAN_SHUTDOWN;
}

/* A function can end its worker; what else waits is left for others. */
static void ends_itself(void)
{
	gearman_worker_st *first = new_worker(), *second;
	gearman_client_st *client = new_client();
	struct thread *t;

	must(gearman_client_do_background(client, "note", NULL, "first", 5, NULL), "first");
	must(gearman_client_do_background(client, "note", NULL, "second", 6, NULL), "second");
	define(first, "note", last_job);
	fact("ended: %s", name(ended(work(first))));
	show_notes("first worker");
	await_function("note", 1, 0, 0);
	second = gearman_worker_create(NULL);
	must(gearman_worker_add_server(second, server_host, server_port), "gearman_worker_add_server");
	define(second, "note", fn_note);
	t = work(second);
	await_function("note", 0, 0, 1);
	show_notes("second worker");
	gearman_client_free(client);
	stop(t);
}

/* A job in which its worker becomes a client. */
static gearman_return_t outer(gearman_job_st *job, void *context)
{
	gearman_client_st *client = gearman_job_use_client(job);
	gearman_return_t code;
	size_t size;
	char *result;

	(void)context;
	result = gearman_client_do(client, "reverse", NULL, gearman_job_workload(job), gearman_job_workload_size(job), &size,
	                           &code);
	must(code, "the inner job");
	code = gearman_job_send_complete(job, result, size);
	free(result);
	return code;
}

static void job_in_job(void)
{
	gearman_worker_st *outside = new_worker(), *inside;
	gearman_client_st *client = new_client();
	struct thread *threads[2];

	define(outside, "outer", outer);
	inside = new_worker();
	define(inside, "reverse", fn_reverse);
	threads[0] = work(outside);
	threads[1] = work(inside);
	call(client, "outer", "abc");
	gearman_client_free(client);
	stop(threads[0]);
	stop(threads[1]);
}

const struct scenario worker_cases[] = {
	{"worker_version_one", version_one},
	{"worker_version_two", version_two},
	{"worker_abilities", abilities},
	{"worker_back_again", back_again},
	{"worker_many_functions", many_functions},
	{"worker_by_hand", by_hand},
	{"worker_ways_to_grab", ways_to_grab},
	{"worker_gives_up", gives_up},
	{"worker_ends_itself", ends_itself},
	{"worker_job_in_job", job_in_job},
	{NULL, NULL},
};
