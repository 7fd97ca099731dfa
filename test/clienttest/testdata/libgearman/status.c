/* Questions about jobs: by handle and by unique id. */
#include "observe.h"

static void by_handle(gearman_client_st *client, const char *title, const gearman_job_handle_t handle)
{
	bool known, running;
	uint32_t numerator, denominator;
	gearman_return_t code = gearman_client_job_status(client, handle, &known, &running, &numerator, &denominator);

	fact("%s: %s known %d running %d %u/%u", title, name(code), known, running, numerator, denominator);
	/* Without the places to put the answer the code alone tells. */
	code = gearman_client_job_status(client, handle, NULL, NULL, NULL, NULL);
	fact("%s: %s", title, name(code));
}

/* await_progress waits until the server knows what the worker has said of the job. */
static void await_progress(const gearman_job_handle_t handle)
{
	gearman_client_st *client = new_client();
	uint32_t numerator = 0;

	while (numerator != 3)
		must(gearman_client_job_status(client, handle, &(bool){false}, &(bool){false}, &numerator, &(uint32_t){0}),
		     "gearman_client_job_status");
	gearman_client_free(client);
}

static struct thread *hold(void)
{
	gearman_worker_st *worker = new_worker();

	define(worker, "held", fn_held);
	return work(worker);
}

static void of_handle(void)
{
	gearman_client_st *client = new_client(), *other = new_client();
	gearman_job_handle_t handle, never = "H:nowhere:77";
	struct thread *t;

	must(gearman_client_do_background(client, "held", NULL, "job", 3, handle), "gearman_client_do_background");
	by_handle(client, "queued", handle);
	t = hold();
	await_progress(handle);
	by_handle(client, "running", handle);
	by_handle(other, "asked by another", handle);
	gate_open();
	await_function("held", 0, 0, 1);
	by_handle(client, "done", handle);
	by_handle(client, "never there", never);
	gearman_client_free(client);
	gearman_client_free(other);
	stop(t);
}

static void by_unique(gearman_client_st *client, const char *title, const char *unique)
{
	gearman_status_t s = gearman_client_unique_status(client, unique, strlen(unique));

	fact("%s: %s known %d running %d %u/%u", title, name(gearman_status_return(s)), gearman_status_is_known(s),
	     gearman_status_is_running(s), gearman_status_numerator(s), gearman_status_denominator(s));
}

static void of_unique(void)
{
	gearman_client_st *client = new_client();
	gearman_job_handle_t handle;
	struct thread *t;

	must(gearman_client_do_background(client, "held", "the id", "job", 3, handle), "gearman_client_do_background");
	by_unique(client, "queued", "the id");
	by_unique(client, "another id", "another id");
	t = hold();
	await_progress(handle);
	by_unique(client, "running", "the id");
	gate_open();
	await_function("held", 0, 0, 1);
	by_unique(client, "done", "the id");
	gearman_client_free(client);
	stop(t);
}

static gearman_return_t show(gearman_task_st *task)
{
	fact("%s known %d running %d %u/%u", (const char *)gearman_task_context(task), gearman_task_is_known(task),
	     gearman_task_is_running(task), gearman_task_numerator(task), gearman_task_denominator(task));
	return GEARMAN_SUCCESS;
}

static void ask_for(gearman_client_st *client, char *context, const char *handle)
{
	gearman_return_t code;

	gearman_client_add_task_status(client, NULL, context, handle, &code);
	must(code, "gearman_client_add_task_status");
	fact("%s ran %s", context, name(gearman_client_run_tasks(client)));
}

static void of_tasks(void)
{
	gearman_client_st *client = new_client(), *asker = new_client();
	gearman_job_handle_t handle;
	gearman_return_t code;
	gearman_task_st *task;
	struct thread *t;

	gearman_client_set_status_fn(asker, show);
	must(gearman_client_do_background(client, "held", "the id", "job", 3, handle), "gearman_client_do_background");
	ask_for(asker, "queued", handle);
	t = hold();
	await_progress(handle);
	ask_for(asker, "running", handle);
	task = gearman_client_add_task_status_by_unique(asker, NULL, "the id", &code);
	must(code, "gearman_client_add_task_status_by_unique");
	gearman_task_set_context(task, "by unique id");
	fact("by unique id ran %s", name(gearman_client_run_tasks(asker)));
	gate_open();
	await_function("held", 0, 0, 1);
	ask_for(asker, "done", handle);
	gearman_client_free(client);
	gearman_client_free(asker);
	stop(t);
}

const struct scenario status_cases[] = {
	{"status_of_handle", of_handle},
	{"status_of_unique", of_unique},
	{"status_of_tasks", of_tasks},
	{NULL, NULL},
};
