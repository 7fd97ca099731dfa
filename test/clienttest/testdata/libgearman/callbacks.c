/* What the callbacks of a client hear of a task, in order. */
#include "observe.h"

static const char *who(gearman_task_st *task) { return gearman_task_context(task); }

static gearman_return_t created(gearman_task_st *task)
{
	fact("%s created %s", who(task), form(gearman_task_job_handle(task)));
	return GEARMAN_SUCCESS;
}

static gearman_return_t status(gearman_task_st *task)
{
	fact("%s status %u/%u", who(task), gearman_task_numerator(task), gearman_task_denominator(task));
	return GEARMAN_SUCCESS;
}

static void with_data(const char *what, gearman_task_st *task)
{
	fact("%s %s %.*s", who(task), what, (int)gearman_task_data_size(task),
	     gearman_task_data(task) == NULL ? "" : (const char *)gearman_task_data(task));
}

static gearman_return_t data(gearman_task_st *task) { return with_data("data", task), GEARMAN_SUCCESS; }
static gearman_return_t warning(gearman_task_st *task) { return with_data("warning", task), GEARMAN_SUCCESS; }
static gearman_return_t complete(gearman_task_st *task) { return with_data("complete", task), GEARMAN_SUCCESS; }
static gearman_return_t exception(gearman_task_st *task) { return with_data("exception", task), GEARMAN_SUCCESS; }

static gearman_return_t failed(gearman_task_st *task)
{
	fact("%s fail", who(task));
	return GEARMAN_SUCCESS;
}

static void set_all(gearman_client_st *client)
{
	gearman_client_set_created_fn(client, created);
	gearman_client_set_data_fn(client, data);
	gearman_client_set_warning_fn(client, warning);
	gearman_client_set_status_fn(client, status);
	gearman_client_set_complete_fn(client, complete);
	gearman_client_set_exception_fn(client, exception);
	gearman_client_set_fail_fn(client, failed);
}

/* run runs one task alone, so that the order of the facts is settled. */
static void run(gearman_client_st *client, char *context, const char *function)
{
	gearman_return_t code;
	gearman_task_st *task =
		gearman_client_add_task(client, NULL, context, function, NULL, context, strlen(context), &code);

	must(code, "gearman_client_add_task");
	fact("%s ran %s", context, name(gearman_client_run_tasks(client)));
	fact("%s returned %s", context, name(gearman_task_return(task)));
	gearman_task_free(task);
}

static struct thread *serve(void)
{
	gearman_worker_st *worker = new_worker();

	define(worker, "reverse", fn_reverse);
	define(worker, "steps", fn_steps);
	define(worker, "fail", fn_fail);
	define(worker, "throw", fn_throw);
	return work(worker);
}

static void every_callback(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();

	gearman_client_add_options(client, GEARMAN_CLIENT_EXCEPTION);
	set_all(client);
	run(client, "steps", "steps");
	run(client, "fail", "fail");
	run(client, "throw", "throw");
	run(client, "after", "reverse");
	gearman_client_clear_fn(client);
	run(client, "quiet", "reverse");
	gearman_client_free(client);
	stop(t);
}

static int pauses;

static gearman_return_t pause_twice(gearman_task_st *task)
{
	fact("data %.*s", (int)gearman_task_data_size(task), (const char *)gearman_task_data(task));
	return pauses++ < 2 ? GEARMAN_PAUSE : GEARMAN_SUCCESS;
}

/* A callback that pauses gives the application a turn; run_tasks is called again. */
static void paused(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();
	gearman_return_t code;

	gearman_client_set_data_fn(client, pause_twice);
	gearman_client_set_complete_fn(client, complete);
	gearman_client_add_task(client, NULL, "steps", "steps", NULL, "x", 1, &code);
	must(code, "gearman_client_add_task");
	while ((code = gearman_client_run_tasks(client)) == GEARMAN_PAUSE)
		fact("a pause");
	fact("run: %s", name(code));
	gearman_client_free(client);
	stop(t);
}

static gearman_return_t give_up(gearman_task_st *task)
{
	fact("%s given up", who(task));
	return GEARMAN_WORK_FAIL;
}

/* A callback that fails ends run_tasks with its code. */
static void refusing(void)
{
	gearman_client_st *client = new_client();
	struct thread *t = serve();
	gearman_return_t code;

	gearman_client_set_created_fn(client, give_up);
	gearman_client_add_task(client, NULL, "reverse", "reverse", NULL, "x", 1, &code);
	must(code, "gearman_client_add_task");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	gearman_client_free(client);
	/* The server is none the worse for it. */
	client = new_client();
	gearman_client_set_complete_fn(client, complete);
	run(client, "another", "reverse");
	gearman_client_free(client);
	stop(t);
}

const struct scenario callback_cases[] = {
	{"callbacks_every", every_callback},
	{"callbacks_pause", paused},
	{"callbacks_refuse", refusing},
	{NULL, NULL},
};
