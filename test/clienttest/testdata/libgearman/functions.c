/* The functions that the workers of the cases offer. */
#include "observe.h"

#include <stdlib.h>

char *text(gearman_job_st *job)
{
	size_t size = gearman_job_workload_size(job);
	char *copy = malloc(size + 1);

	if (copy == NULL)
		fail("no memory");
	if (size > 0)
		memcpy(copy, gearman_job_workload(job), size);
	copy[size] = '\0';
	return copy;
}

gearman_return_t fn_reverse(gearman_job_st *job, void *context)
{
	size_t size = gearman_job_workload_size(job);
	char *copy = text(job);
	gearman_return_t result;

	(void)context;
	for (size_t i = 0; i < size / 2; i++) {
		char c = copy[i];
		copy[i] = copy[size - 1 - i];
		copy[size - 1 - i] = c;
	}
	result = gearman_job_send_complete(job, copy, size);
	free(copy);
	return result;
}

gearman_return_t fn_echo(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_complete(job, gearman_job_workload(job), gearman_job_workload_size(job));
}

gearman_return_t fn_note(gearman_job_st *job, void *context)
{
	char *argument = text(job);

	note("%s", argument);
	free(argument);
	return fn_echo(job, context);
}

gearman_return_t fn_held(gearman_job_st *job, void *context)
{
	char *argument = text(job);

	must(gearman_job_send_status(job, 3, 7), "gearman_job_send_status");
	note("%s", argument);
	free(argument);
	gate_wait();
	return fn_echo(job, context);
}

gearman_return_t fn_steps(gearman_job_st *job, void *context)
{
	(void)context;
	must(gearman_job_send_data(job, "one", 3), "gearman_job_send_data");
	must(gearman_job_send_status(job, 1, 2), "gearman_job_send_status");
	must(gearman_job_send_warning(job, "careful", 7), "gearman_job_send_warning");
	must(gearman_job_send_data(job, "two", 3), "gearman_job_send_data");
	must(gearman_job_send_status(job, 2, 2), "gearman_job_send_status");
	return gearman_job_send_complete(job, "stepped", 7);
}

gearman_return_t fn_fail(gearman_job_st *job, void *context)
{
	(void)job;
	(void)context;
	return GEARMAN_FAIL;
}

gearman_return_t fn_throw(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_exception(job, gearman_job_workload(job), gearman_job_workload_size(job));
}
