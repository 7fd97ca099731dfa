/* gearman_execute, with its attributes: foreground, background, for a moment of the future. */
#include "observe.h"

#include <time.h>

static gearman_task_st *execute(gearman_client_st *client, const char *function, const char *argument,
                                gearman_task_attr_t *attributes)
{
	gearman_argument_t a = gearman_argument_make(NULL, 0, argument, strlen(argument));

	return gearman_execute(client, function, strlen(function), NULL, 0, attributes, &a, NULL);
}

static gearman_return_t count(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_complete(job, "1234567", gearman_job_workload_size(job));
}

static void foreground(void)
{
	static const struct {
		const char *name;
		gearman_job_priority_t priority;
	} all[] = {
		{"high", GEARMAN_JOB_PRIORITY_HIGH}, {"normal", GEARMAN_JOB_PRIORITY_NORMAL}, {"low", GEARMAN_JOB_PRIORITY_LOW}};
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_task_st *task;
	struct thread *t;

	define(worker, "reverse", fn_reverse);
	define(worker, "count", count);
	define(worker, "fail", fn_fail);
	t = work(worker);
	for (int i = 0; i < 3; i++) {
		gearman_task_attr_t attributes = gearman_task_attr_init(all[i].priority);

		task = execute(client, "reverse", all[i].name, &attributes);
		if (task == NULL)
			fail("gearman_execute: %s", gearman_client_error(client));
		fact("%s: %s %.*s", all[i].name, name(gearman_task_return(task)),
		     (int)gearman_result_size(gearman_task_result(task)), gearman_result_value(gearman_task_result(task)));
	}
	task = execute(client, "count", "four", NULL);
	fact("integer: %lld", (long long)gearman_result_integer(gearman_task_result(task)));
	task = execute(client, "fail", "x", NULL);
	fact("fail: %s", task == NULL ? "no task" : name(gearman_task_return(task)));
	gearman_client_free(client);
	stop(t);
}

static void background(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_task_attr_t attributes;
	gearman_task_st *task;
	struct thread *t;

	attributes = gearman_task_attr_init_background(GEARMAN_JOB_PRIORITY_LOW);
	task = execute(client, "note", "low", &attributes);
	fact("low: %s %s", name(gearman_task_return(task)), form(gearman_task_job_handle(task)));
	attributes = gearman_task_attr_init_background(GEARMAN_JOB_PRIORITY_NORMAL);
	execute(client, "note", "normal", &attributes);
	attributes = gearman_task_attr_init_background(GEARMAN_JOB_PRIORITY_HIGH);
	execute(client, "note", "high", &attributes);
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	show_notes("order");
	gearman_client_free(client);
	stop(t);
}

/* seconds returns the time of day; time itself may lag behind by some milliseconds. */
static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static time_t ran_at;

static gearman_return_t note_time(gearman_job_st *job, void *context)
{
	ran_at = seconds();
	return fn_note(job, context);
}

/* later submits a job for a moment at least three seconds away, so that even a busy server answers before it. */
static time_t later(gearman_client_st *client)
{
	time_t due = seconds() + 4;
	gearman_task_attr_t attributes = gearman_task_attr_init_epoch(due, GEARMAN_JOB_PRIORITY_NORMAL);
	gearman_task_st *task = execute(client, "timed", "due", &attributes);
	bool known, running;

	if (task == NULL)
		fail("gearman_execute: %s", gearman_client_error(client));
	fact("created: %s %s", name(gearman_task_return(task)), form(gearman_task_job_handle(task)));
	must(gearman_client_job_status(client, gearman_task_job_handle(task), &known, &running, NULL, NULL),
	     "gearman_client_job_status");
	fact("known %d running %d", known, running);
	return due;
}

/* A worker that asks again and again gets the job when its time has come, and not before. */
static void epoch_asked_for(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;
	time_t due;

	define(worker, "timed", note_time);
	gearman_worker_set_timeout(worker, 100);
	t = work(worker);
	due = later(client);
	await_notes(1);
	show_notes("worker");
	fact("early: %s", ran_at < due ? "yes" : "no");
	fact("late: %s", ran_at > due + 10 ? "yes" : "no");
	gearman_client_free(client);
	stop(t);
}

/* A worker that sleeps, without a limit of its own, is woken when the time has come. */
static void epoch_woken(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;
	time_t due;

	define(worker, "timed", note_time);
	t = work(worker);
	await_function("timed", 0, 0, 1);
	due = later(client);
	await_notes(1);
	show_notes("worker");
	fact("early: %s", ran_at < due ? "yes" : "no");
	fact("late: %s", ran_at > due + 10 ? "yes" : "no");
	gearman_client_free(client);
	stop(t);
}

/* A moment of the past is now. */
static void epoch_past(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_task_attr_t attributes = gearman_task_attr_init_epoch(seconds() - 10, GEARMAN_JOB_PRIORITY_NORMAL);
	struct thread *t;

	if (execute(client, "timed", "long due", &attributes) == NULL)
		fail("gearman_execute: %s", gearman_client_error(client));
	define(worker, "timed", note_time);
	t = work(worker);
	await_notes(1);
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

const struct scenario execute_cases[] = {
	{"execute_foreground", foreground},
	{"execute_background", background},
	{"epoch_asked_for", epoch_asked_for},
	{"epoch_woken", epoch_woken},
	{"epoch_past", epoch_past},
	{NULL, NULL},
};
