/* Exceptions: who hears of them. */
#include "observe.h"

#include <stdlib.h>

static gearman_return_t show_exception(gearman_task_st *task)
{
	fact("exception: %.*s", (int)gearman_task_data_size(task), (const char *)gearman_task_data(task));
	return GEARMAN_SUCCESS;
}

static gearman_return_t show_fail(gearman_task_st *task)
{
	(void)task;
	fact("fail");
	return GEARMAN_SUCCESS;
}

static void throw(gearman_client_st *client)
{
	gearman_return_t code;
	gearman_task_st *task;

	gearman_client_set_exception_fn(client, show_exception);
	gearman_client_set_fail_fn(client, show_fail);
	task = gearman_client_add_task(client, NULL, NULL, "throw", NULL, "thrown", 6, &code);
	must(code, "gearman_client_add_task");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	fact("return: %s", name(gearman_task_return(task)));
	fact("has exception: %d", gearman_task_has_exception(task));
	gearman_task_free(task);
}

static struct thread *serve(void)
{
	gearman_worker_st *worker = new_worker();

	define(worker, "throw", fn_throw);
	define(worker, "reverse", fn_reverse);
	return work(worker);
}

static void by_option(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();

	gearman_client_add_options(client, GEARMAN_CLIENT_EXCEPTION);
	throw(client);
	throw(client);
	gearman_client_free(client);
	await_function("throw", 0, 0, 1);
	stop(t);
}

static void by_server_option(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();

	fact("exceptions: %d", gearman_client_set_server_option(client, "exceptions", 10));
	throw(client);
	fact("nonsense: %d", gearman_client_set_server_option(client, "nonsense", 8));
	gearman_client_free(client);
	stop(t);
}

/*
 * A client that did not ask gets the WORK_FAIL that stands for the exception. It
 * ends in a NUL, by which the library does not recognise its task: the client
 * waits until its own time is up, and the server has done with the job.
 */
static void not_asked_for(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();
	gearman_return_t code;
	size_t size;
	char *result;

	gearman_client_set_timeout(client, 400);
	throw(client);
	await_function("throw", 0, 0, 1);
	gearman_client_free(client);
	client = new_client();
	result = gearman_client_do(client, "reverse", NULL, "after", 5, &size, &code);
	fact("after: %s %.*s", name(code), (int)size, result);
	free(result);
	gearman_client_free(client);
	stop(t);
}

/* The server can be told to send exceptions to everyone. */
static void for_everyone(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();

	throw(client);
	gearman_client_free(client);
	stop(t);
}

const struct scenario exception_cases[] = {
	{"exceptions_by_option", by_option},
	{"exceptions_by_server_option", by_server_option},
	{"exceptions_not_asked_for", not_asked_for},
	{"exceptions_for_everyone", for_everyone},
	{NULL, NULL},
};
