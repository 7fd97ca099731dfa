/* Jobs with a reducer: a worker splits the argument, a reducer does the pieces, an aggregator joins the results. */
#include "observe.h"

/* split sends each word of its argument as one piece. */
static gearman_return_t split(gearman_job_st *job, void *context)
{
	const char *argument = gearman_job_workload(job);
	size_t size = gearman_job_workload_size(job), begin = 0;

	(void)context;
	for (size_t i = 0; i <= size; i++) {
		if (i < size && argument[i] != ' ')
			continue;
		must(gearman_job_send_data(job, argument + begin, i - begin), "gearman_job_send_data");
		begin = i + 1;
	}
	return GEARMAN_SUCCESS;
}

/* join joins the results of the pieces with plus signs. */
static gearman_return_t join(gearman_aggregator_st *aggregator, gearman_task_st *task, gearman_result_st *result)
{
	char all[256];
	size_t used = 0;

	(void)aggregator;
	for (; task != NULL; task = gearman_next(task)) {
		gearman_result_st *piece = gearman_task_result(task);

		if (gearman_failed(gearman_task_return(task)) || piece == NULL)
			return GEARMAN_FATAL;
		if (used + gearman_result_size(piece) + 1 > sizeof all)
			fail("the result is too long");
		if (used > 0)
			all[used++] = '+';
		memcpy(all + used, gearman_result_value(piece), gearman_result_size(piece));
		used += gearman_result_size(piece);
	}
	return gearman_result_store_value(result, all, used);
}

static struct thread *partitioner(void)
{
	gearman_worker_st *worker = new_worker();

	must(gearman_worker_define_function(worker, "split", 5, gearman_function_create_partition(split, join), 0, NULL),
	     "gearman_worker_define_function");
	return work(worker);
}

static void run(const char *reducer, gearman_task_attr_t *attributes)
{
	static const char words[] = "one two three";
	gearman_client_st *client = new_client();
	gearman_argument_t argument = gearman_argument_make(NULL, 0, words, sizeof words - 1);
	gearman_task_st *task = gearman_execute_by_partition(client, "split", 5, reducer, strlen(reducer), NULL, 0,
	                                                     attributes, &argument, NULL);

	if (task == NULL)
		fail("gearman_execute_by_partition: %s", gearman_client_error(client));
	fact("return: %s", name(gearman_task_return(task)));
	fact("handle: %s", form(gearman_task_job_handle(task)));
	if (gearman_success(gearman_task_return(task)) && gearman_task_result(task) != NULL)
		fact("result: %zu %.*s", gearman_result_size(gearman_task_result(task)),
		     (int)gearman_result_size(gearman_task_result(task)), gearman_result_value(gearman_task_result(task)));
	gearman_client_free(client);
}

static void reduced(void)
{
	gearman_worker_st *worker = new_worker();
	struct thread *splitting = partitioner(), *reducing;

	define(worker, "reverse", fn_reverse);
	reducing = work(worker);
	run("reverse", NULL);
	stop(splitting);
	stop(reducing);
}

static void reduced_by_two(void)
{
	struct thread *splitting = partitioner(), *reducing[2];

	for (int i = 0; i < 2; i++) {
		gearman_worker_st *worker = new_worker();
		define(worker, "reverse", fn_reverse);
		reducing[i] = work(worker);
	}
	run("reverse", NULL);
	stop(splitting);
	for (int i = 0; i < 2; i++)
		stop(reducing[i]);
}

/* A reducer that fails is the end of the job. */
static void reducer_fails(void)
{
	gearman_worker_st *worker = new_worker();
	struct thread *splitting = partitioner(), *reducing;

	define(worker, "fail", fn_fail);
	reducing = work(worker);
	run("fail", NULL);
	stop(splitting);
	stop(reducing);
}

static void in_background(void)
{
	gearman_worker_st *worker = new_worker();
	struct thread *splitting, *reducing;
	gearman_task_attr_t attributes = gearman_task_attr_init_background(GEARMAN_JOB_PRIORITY_NORMAL);

	run("note", &attributes);
	define(worker, "note", fn_note);
	splitting = partitioner();
	reducing = work(worker);
	await_notes(3);
	show_notes("reducer");
	await_function("split", 0, 0, 1);
	stop(splitting);
	stop(reducing);
}

const struct scenario partition_cases[] = {
	{"partition_reduced", reduced},
	{"partition_two_reducers", reduced_by_two},
	{"partition_reducer_fails", reducer_fails},
	{"partition_background", in_background},
	{NULL, NULL},
};
