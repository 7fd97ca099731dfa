/* Large arguments and results. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

/* fill makes a pattern that shows pieces that are missing, doubled or swapped. */
static char *fill(size_t size, uint32_t seed)
{
	char *data = malloc(size);
	uint32_t x = seed;

	if (data == NULL)
		fail("no memory");
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (char)(x >> 24);
	}
	return data;
}

static bool backwards(const char *data, const char *result, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != result[size - 1 - i])
			return false;
	return true;
}

static void both_ways(gearman_client_st *client, size_t size)
{
	char *data = fill(size, (uint32_t)size), *result;
	gearman_return_t code;
	size_t got;

	result = gearman_client_do(client, "reverse", NULL, data, size, &got, &code);
	fact("%zu: %s %s", size, name(code), got == size && backwards(data, result, size) ? "intact" : "broken");
	free(data);
	free(result);
}

static void sizes(void)
{
	static const size_t all[] = {1, 8179, 8180, 8181, 8192, 32768, 65535, 65536, 262144, 1 << 20, 8 << 20};
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	define(worker, "reverse", fn_reverse);
	t = work(worker);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		both_ways(client, all[i]);
	gearman_client_free(client);
	stop(t);
}

#define TASKS 8
#define TASK_SIZE (1 << 20)

static gearman_return_t check(gearman_task_st *task)
{
	char **data = gearman_task_context(task);

	if (gearman_task_data_size(task) != TASK_SIZE || !backwards(*data, gearman_task_data(task), TASK_SIZE))
		fail("a large task has a wrong result");
	free(*data);
	*data = NULL;
	return GEARMAN_SUCCESS;
}

/* Large tasks side by side, done by two workers. */
static void parallel(void)
{
	gearman_client_st *client = new_client();
	struct thread *threads[2];
	char *data[TASKS];
	int right = 0;

	for (int i = 0; i < 2; i++) {
		gearman_worker_st *worker = new_worker();
		define(worker, "reverse", fn_reverse);
		threads[i] = work(worker);
	}
	gearman_client_set_complete_fn(client, check);
	for (int i = 0; i < TASKS; i++) {
		gearman_return_t code;
		data[i] = fill(TASK_SIZE, (uint32_t)i);
		gearman_client_add_task(client, NULL, &data[i], "reverse", NULL, data[i], TASK_SIZE, &code);
		must(code, "gearman_client_add_task");
	}
	fact("run: %s", name(gearman_client_run_tasks(client)));
	for (int i = 0; i < TASKS; i++)
		right += data[i] == NULL;
	fact("right: %d of %d", right, TASKS);
	gearman_client_free(client);
	for (int i = 0; i < 2; i++)
		stop(threads[i]);
}

/* A result in pieces, each of them large. */
static gearman_return_t pieces(gearman_job_st *job, void *context)
{
	char *data = fill(1 << 20, 7);

	(void)context;
	for (int i = 0; i < 4; i++)
		must(gearman_job_send_data(job, data, 1 << 20), "gearman_job_send_data");
	free(data);
	return GEARMAN_SUCCESS;
}

static void in_pieces(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	char *piece = fill(1 << 20, 7), *result;
	gearman_return_t code;
	struct thread *t;
	bool right = true;
	size_t size;

	define(worker, "pieces", pieces);
	t = work(worker);
	result = gearman_client_do(client, "pieces", NULL, "x", 1, &size, &code);
	must(code, "gearman_client_do");
	for (int i = 0; i < 4 && size == 4 << 20; i++)
		right = right && memcmp(result + (i << 20), piece, 1 << 20) == 0;
	fact("pieces: %zu bytes %s", size, right ? "intact" : "broken");
	free(result);
	free(piece);
	gearman_client_free(client);
	stop(t);
}

const struct scenario large_cases[] = {
	{"large_sizes", sizes},
	{"large_parallel", parallel},
	{"large_in_pieces", in_pieces},
	{NULL, NULL},
};
