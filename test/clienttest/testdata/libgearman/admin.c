/* What text commands do to the jobs of a client. */
#include "observe.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void show_answer(const char *title, const char *command)
{
	char *answer = ask(command);

	answer[strcspn(answer, "\r\n")] = '\0';
	fact("%s: %s", title, answer);
	free(answer);
}

static gearman_return_t show_fail(gearman_task_st *task)
{
	fact("%s fails", (const char *)gearman_task_context(task));
	return GEARMAN_SUCCESS;
}

static gearman_return_t cancel(gearman_task_st *task)
{
	char command[128];

	snprintf(command, sizeof command, "cancel job %s", gearman_task_job_handle(task));
	show_answer("cancel", command);
	return GEARMAN_SUCCESS;
}

/* A queued job that is cancelled fails for the client that waits for it. */
static void cancel_foreground(void)
{
	gearman_client_st *client = new_client();
	gearman_return_t code;
	gearman_task_st *task;

	gearman_client_set_created_fn(client, cancel);
	gearman_client_set_fail_fn(client, show_fail);
	task = gearman_client_add_task(client, NULL, "task", "f", NULL, "x", 1, &code);
	must(code, "gearman_client_add_task");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	fact("return: %s", name(gearman_task_return(task)));
	show_answer("unknown", "cancel job H:nowhere:99");
	gearman_client_free(client);
}

/* One of two background jobs is cancelled: the worker gets the other. */
static void cancel_background(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_job_handle_t first, second;
	struct thread *t;
	char command[128];

	must(gearman_client_do_background(client, "note", NULL, "first", 5, first), "first");
	must(gearman_client_do_background(client, "note", NULL, "second", 6, second), "second");
	snprintf(command, sizeof command, "cancel job %s", first);
	show_answer("cancel", command);
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

/* A running job cannot be cancelled: the worker finishes it. */
static void cancel_running(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_job_handle_t handle;
	struct thread *t;
	char command[128];

	define(worker, "held", fn_held);
	t = work(worker);
	must(gearman_client_do_background(client, "held", NULL, "job", 3, handle), "gearman_client_do_background");
	await_notes(1);
	snprintf(command, sizeof command, "cancel job %s", handle);
	show_answer("cancel", command);
	gate_open();
	await_function("held", 0, 0, 1);
	fact("done");
	gearman_client_free(client);
	stop(t);
}

/* The submission beyond the bound of a function is refused; what waits stays. */
static void queue_full(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	must(gearman_client_do_background(client, "note", NULL, "first", 5, NULL), "first");
	show_answer("maxqueue", "maxqueue note 1");
	fact("second: %s", name(gearman_client_do_background(client, "note", NULL, "second", 6, NULL)));
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	fact("third: %s", name(gearman_client_do_background(client, "note", NULL, "third", 5, NULL)));
	await_notes(2);
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

/* Three numbers bound high, normal and low; each of them counts all jobs of the function. */
static void queue_full_by_priority(void)
{
	gearman_client_st *client = new_client();

	show_answer("create", "create function f");
	show_answer("maxqueue", "maxqueue f 1 2 3");
	for (int i = 1; i <= 4; i++) {
		fact("%d: high %s", i, name(gearman_client_do_high_background(client, "f", NULL, "x", 1, NULL)));
		fact("%d: normal %s", i, name(gearman_client_do_background(client, "f", NULL, "x", 1, NULL)));
		fact("%d: low %s", i, name(gearman_client_do_low_background(client, "f", NULL, "x", 1, NULL)));
	}
	await_text("prioritystatus", "f\t1\t1\t1\t0\n");
	fact("prioritystatus: as bounded");
	gearman_client_free(client);
}

/* The tables as a worker and jobs change them. */
static void tables(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_job_handle_t handle;
	struct thread *t;
	char line[160];

	await_text("version", "OK 1.1.20");
	must(gearman_client_do_background(client, "held", "its id", "a", 1, handle), "gearman_client_do_background");
	await_text("status", "held\t1\t0\t0\n");
	await_text("prioritystatus", "held\t0\t1\t0\t0\n");
	await_text("show unique jobs", "its id\n");
	snprintf(line, sizeof line, "%s\t0\t0\t1\n", handle);
	await_text("show jobs", line);
	fact("queued: shown");
	define(worker, "held", fn_held);
	t = work(worker);
	await_notes(1);
	await_text("status", "held\t1\t1\t1\n");
	fact("running: shown");
	show_answer("drop", "drop function held");
	gate_open();
	await_text("status", "held\t0\t0\t1\n");
	gearman_client_free(client);
	stop(t);
	await_text("status", "held\t0\t0\t0\n");
	fact("left: shown");
	show_answer("drop", "drop function held");
	show_answer("status", "status");
}

/* Two of three tasks are cancelled while the client waits for all of them. */
static void *cancel_two(void *argument)
{
	char *answer, *line;
	int left = 2;

	(void)argument;
	await_function("note", 3, 0, 0);
	answer = ask("show jobs");
	for (line = strtok(answer, "\n"); line != NULL && left > 0; line = strtok(NULL, "\n")) {
		char command[128], *done;

		line[strcspn(line, "\t")] = '\0';
		snprintf(command, sizeof command, "cancel job %s", line);
		/* strtok is not used by ask. */
		done = ask(command);
		free(done);
		left--;
	}
	free(answer);
	return NULL;
}

static int completed, failed;

static gearman_return_t count_complete(gearman_task_st *task)
{
	(void)task;
	completed++;
	return GEARMAN_SUCCESS;
}

static gearman_return_t count_fail(gearman_task_st *task)
{
	(void)task;
	failed++;
	return GEARMAN_SUCCESS;
}

static void *serve_when_cancelled(void *argument)
{
	gearman_worker_st *worker = new_worker();

	(void)argument;
	cancel_two(NULL);
	define(worker, "note", fn_note);
	return work(worker);
}

static void cancel_some(void)
{
	gearman_client_st *client = new_client();
	gearman_return_t code;
	pthread_t helper;
	void *worker;

	gearman_client_set_complete_fn(client, count_complete);
	gearman_client_set_fail_fn(client, count_fail);
	for (int i = 0; i < 3; i++) {
		gearman_client_add_task(client, NULL, NULL, "note", NULL, "x", 1, &code);
		must(code, "gearman_client_add_task");
	}
	if (pthread_create(&helper, NULL, serve_when_cancelled, NULL) != 0)
		fail("pthread_create failed");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	fact("completed %d failed %d", completed, failed);
	pthread_join(helper, &worker);
	gearman_client_free(client);
	stop(worker);
}

const struct scenario admin_cases[] = {
	{"admin_cancel_foreground", cancel_foreground},
	{"admin_cancel_background", cancel_background},
	{"admin_cancel_running", cancel_running},
	{"admin_cancel_some", cancel_some},
	{"admin_queue_full", queue_full},
	{"admin_queue_full_by_priority", queue_full_by_priority},
	{"admin_tables", tables},
	{NULL, NULL},
};
