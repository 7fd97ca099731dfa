/* Clients and workers that never block in the library. */
#include "observe.h"

#include <stdlib.h>

static gearman_return_t show_complete(gearman_task_st *task)
{
	fact("complete %.*s", (int)gearman_task_data_size(task), (const char *)gearman_task_data(task));
	return GEARMAN_SUCCESS;
}

static void client_waits(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_return_t code;
	struct thread *t;
	int waits = 0;

	gearman_client_add_options(client, GEARMAN_CLIENT_NON_BLOCKING);
	gearman_client_set_complete_fn(client, show_complete);
	gearman_client_add_task(client, NULL, NULL, "held", NULL, "job", 3, &code);
	must(code, "gearman_client_add_task");
	define(worker, "held", fn_held);
	t = work(worker);
	while ((code = gearman_client_run_tasks(client)) == GEARMAN_IO_WAIT) {
		if (waits++ == 0)
			fact("run: %s", name(code));
		await_function("held", -1, -1, 1);
		gate_open();
		must(gearman_client_wait(client), "gearman_client_wait");
	}
	fact("run: %s", name(code));
	gearman_client_free(client);
	stop(t);
}

#define LARGE (1 << 20)

static gearman_return_t compare(gearman_task_st *task)
{
	bool same = gearman_task_data_size(task) == LARGE &&
		    memcmp(gearman_task_data(task), gearman_task_context(task), LARGE) == 0;

	fact("result: %s", same ? "intact" : "broken");
	return GEARMAN_SUCCESS;
}

/* More than a socket takes at once. */
static void client_large(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	char *data = malloc(LARGE);
	gearman_return_t code;
	struct thread *t;

	if (data == NULL)
		fail("no memory");
	memset(data, 'n', LARGE);
	define(worker, "echo", fn_echo);
	t = work(worker);
	gearman_client_add_options(client, GEARMAN_CLIENT_NON_BLOCKING);
	gearman_client_set_complete_fn(client, compare);
	gearman_client_add_task(client, NULL, data, "echo", NULL, data, LARGE, &code);
	must(code, "gearman_client_add_task");
	while ((code = gearman_client_run_tasks(client)) == GEARMAN_IO_WAIT)
		must(gearman_client_wait(client), "gearman_client_wait");
	fact("run: %s", name(code));
	gearman_client_free(client);
	free(data);
	stop(t);
}

/* A worker that asks, is told that there is nothing, and waits for its connection until there is. */
static void worker_waits(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	gearman_return_t code;
	int done = 0;

	gearman_worker_add_options(worker, GEARMAN_WORKER_NON_BLOCKING);
	define(worker, "note", fn_note);
	while ((code = gearman_worker_work(worker)) == GEARMAN_IO_WAIT)
		must(gearman_worker_wait(worker), "gearman_worker_wait");
	fact("work: %s", name(code));
	must(gearman_client_do_background(client, "note", NULL, "first", 5, NULL), "first");
	must(gearman_client_do_background(client, "note", NULL, "second", 6, NULL), "second");
	while (done < 2) {
		code = gearman_worker_work(worker);
		if (code == GEARMAN_SUCCESS)
			done++;
		else if (code == GEARMAN_IO_WAIT || code == GEARMAN_NO_JOBS)
			must(gearman_worker_wait(worker), "gearman_worker_wait");
		else
			must(code, "gearman_worker_work");
	}
	await_function("note", 0, 0, 1);
	show_notes("worker");
	gearman_client_free(client);
	gearman_worker_free(worker);
}

const struct scenario nonblocking_cases[] = {
	{"nonblocking_client", client_waits},
	{"nonblocking_client_large", client_large},
	{"nonblocking_worker", worker_waits},
	{NULL, NULL},
};
