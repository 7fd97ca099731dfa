/* Several jobs at once: gearman_client_add_task and gearman_client_run_tasks. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

typedef gearman_task_st *add_fn(gearman_client_st *, gearman_task_st *, void *, const char *, const char *, const void *,
                                size_t, gearman_return_t *);

/* add adds a task or ends the program. */
static gearman_task_st *add(add_fn *function, gearman_client_st *client, void *context, const char *job,
                            const char *unique, const char *argument)
{
	gearman_return_t code;
	gearman_task_st *task = function(client, NULL, context, job, unique, argument, strlen(argument), &code);

	must(code, "adding a task");
	return task;
}

#define MANY 60

/* The argument of each task and how often its result was right. */
struct expectation {
	char argument[16];
	int right;
};

static gearman_return_t check(gearman_task_st *task)
{
	struct expectation *e = gearman_task_context(task);
	const char *data = gearman_task_data(task);
	size_t size = strlen(e->argument);

	if (gearman_task_data_size(task) != size)
		return GEARMAN_SUCCESS;
	for (size_t i = 0; i < size; i++)
		if (data[i] != e->argument[size - 1 - i])
			return GEARMAN_SUCCESS;
	e->right++;
	return GEARMAN_SUCCESS;
}

/* Foreground tasks of all priorities, done by three workers. */
static void parallel(void)
{
	static add_fn *const functions[] = {gearman_client_add_task, gearman_client_add_task_high, gearman_client_add_task_low};
	static struct expectation all[MANY];
	gearman_client_st *client = new_client();
	struct thread *threads[3];
	int right = 0;

	for (int i = 0; i < 3; i++) {
		gearman_worker_st *worker = new_worker();
		define(worker, "reverse", fn_reverse);
		threads[i] = work(worker);
	}
	/* A task takes the callbacks over that its client has when it is added. */
	gearman_client_set_complete_fn(client, check);
	for (int i = 0; i < MANY; i++) {
		snprintf(all[i].argument, sizeof all[i].argument, "task %d", i);
		add(functions[i % 3], client, &all[i], "reverse", NULL, all[i].argument);
	}
	fact("before: %s", gearman_client_has_tasks(client) ? "tasks" : "no tasks");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	for (int i = 0; i < MANY; i++)
		right += all[i].right;
	fact("right: %d of %d", right, MANY);
	fact("active: %s", gearman_client_has_active_tasks(client) ? "yes" : "no");
	gearman_client_task_free_all(client);
	fact("after: %s", gearman_client_has_tasks(client) ? "tasks" : "no tasks");
	gearman_client_free(client);
	for (int i = 0; i < 3; i++)
		stop(threads[i]);
}

static gearman_return_t show_created(gearman_task_st *task)
{
	fact("created: %s %s", (const char *)gearman_task_context(task), form(gearman_task_job_handle(task)));
	return GEARMAN_SUCCESS;
}

/* Background tasks of all priorities run only until the server has them. */
static void background(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	gearman_client_set_created_fn(client, show_created);
	add(gearman_client_add_task_low_background, client, "low", "note", NULL, "low");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	add(gearman_client_add_task_background, client, "normal", "note", NULL, "normal");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	add(gearman_client_add_task_high_background, client, "high", "note", NULL, "high");
	fact("run: %s", name(gearman_client_run_tasks(client)));
	gearman_client_free(client);
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	show_notes("order");
	stop(t);
}

static gearman_return_t take(gearman_task_st *task)
{
	size_t size;
	char *data = gearman_task_take_data(task, &size);

	fact("taken: %.*s", (int)size, data == NULL ? "none" : data);
	free(data);
	return GEARMAN_SUCCESS;
}

/* What a task tells of itself when it is done, and what may be taken from it. */
static void properties(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_task_st *task;
	struct thread *t;

	define(worker, "reverse", fn_reverse);
	t = work(worker);
	gearman_client_set_complete_fn(client, take);
	task = add(gearman_client_add_task, client, "the context", "reverse", "the unique id", "abc");
	fact("state: %s", gearman_task_strstate(task));
	fact("run: %s", name(gearman_client_run_tasks(client)));
	fact("context: %s", (const char *)gearman_task_context(task));
	fact("function: %s", gearman_task_function_name(task));
	fact("unique: %s", gearman_task_unique(task));
	fact("handle: %s", form(gearman_task_job_handle(task)));
	fact("return: %s", name(gearman_task_return(task)));
	gearman_client_free(client);
	stop(t);
}

static gearman_return_t receive_by_and_by(gearman_task_st *task)
{
	gearman_return_t code;
	char part[16];
	size_t n, all = 0;

	while ((n = gearman_task_recv_data(task, part, sizeof part, &code)) > 0) {
		must(code, "gearman_task_recv_data");
		all += n;
	}
	fact("received: %zu", all);
	return GEARMAN_SUCCESS;
}

/* A result that the application reads itself. */
static void unbuffered(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	char argument[1001];
	struct thread *t;

	memset(argument, 'x', 1000);
	argument[1000] = '\0';
	define(worker, "reverse", fn_reverse);
	t = work(worker);
	gearman_client_add_options(client, GEARMAN_CLIENT_UNBUFFERED_RESULT);
	gearman_client_set_complete_fn(client, receive_by_and_by);
	add(gearman_client_add_task, client, NULL, "reverse", NULL, argument);
	fact("run: %s", name(gearman_client_run_tasks(client)));
	gearman_client_free(client);
	stop(t);
}

/* A client that is copied, and one that frees its tasks by itself. */
static void cloned(void)
{
	gearman_client_st *first = new_client(), *second;
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	define(worker, "note", fn_note);
	t = work(worker);
	gearman_client_add_options(first, GEARMAN_CLIENT_FREE_TASKS);
	second = gearman_client_clone(NULL, first);
	fact("alike: %s", gearman_client_compare(first, second) ? "yes" : "no");
	fact("option: %s", gearman_client_has_option(second, GEARMAN_CLIENT_FREE_TASKS) ? "kept" : "lost");
	add(gearman_client_add_task, second, NULL, "note", NULL, "clone");
	fact("run: %s", name(gearman_client_run_tasks(second)));
	fact("tasks: %s", gearman_client_has_tasks(second) ? "left" : "freed");
	show_notes("worker");
	gearman_client_free(first);
	gearman_client_free(second);
	stop(t);
}

const struct scenario task_cases[] = {
	{"tasks_parallel", parallel},
	{"tasks_background", background},
	{"tasks_properties", properties},
	{"tasks_unbuffered", unbuffered},
	{"tasks_cloned_client", cloned},
	{NULL, NULL},
};
