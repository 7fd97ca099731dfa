/* The order in which a worker gets what waits. */
#include "observe.h"

#include <pthread.h>
#include <stdlib.h>

static void submit(gearman_client_st *client, const char *function, gearman_job_priority_t priority, const char *argument)
{
	gearman_return_t code;
	size_t size = strlen(argument);

	switch (priority) {
	case GEARMAN_JOB_PRIORITY_HIGH:
		code = gearman_client_do_high_background(client, function, NULL, argument, size, NULL);
		break;
	case GEARMAN_JOB_PRIORITY_LOW:
		code = gearman_client_do_low_background(client, function, NULL, argument, size, NULL);
		break;
	default:
		code = gearman_client_do_background(client, function, NULL, argument, size, NULL);
	}
	must(code, argument);
}

/* High before normal before low, each first in, first out, foreground or not. */
static void priorities(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	submit(client, "note", GEARMAN_JOB_PRIORITY_LOW, "low1");
	submit(client, "note", GEARMAN_JOB_PRIORITY_NORMAL, "normal1");
	submit(client, "note", GEARMAN_JOB_PRIORITY_HIGH, "high1");
	submit(client, "note", GEARMAN_JOB_PRIORITY_LOW, "low2");
	submit(client, "note", GEARMAN_JOB_PRIORITY_HIGH, "high2");
	submit(client, "note", GEARMAN_JOB_PRIORITY_NORMAL, "normal2");
	submit(client, "note", GEARMAN_JOB_PRIORITY_HIGH, "high3");
	define(worker, "note", fn_note);
	t = work(worker);
	await_function("note", 0, 0, 1);
	show_notes("order");
	gearman_client_free(client);
	stop(t);
}

/*
 * A worker's functions are asked one after the other, and a priority counts within
 * one only. The library declares the functions in the opposite order.
 */
static void across_functions(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	submit(client, "first", GEARMAN_JOB_PRIORITY_LOW, "first-low");
	submit(client, "first", GEARMAN_JOB_PRIORITY_NORMAL, "first-normal");
	submit(client, "first", GEARMAN_JOB_PRIORITY_HIGH, "first-high");
	submit(client, "second", GEARMAN_JOB_PRIORITY_LOW, "second-low");
	submit(client, "second", GEARMAN_JOB_PRIORITY_NORMAL, "second-normal");
	submit(client, "second", GEARMAN_JOB_PRIORITY_HIGH, "second-high");
	define(worker, "first", fn_note);
	define(worker, "second", fn_note);
	t = work(worker);
	await_notes(6);
	show_notes("order");
	gearman_client_free(client);
	stop(t);
}

/* One function is emptied after the other, unless the server goes round. */
static void function_order(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	struct thread *t;

	submit(client, "first", GEARMAN_JOB_PRIORITY_NORMAL, "a1");
	submit(client, "first", GEARMAN_JOB_PRIORITY_NORMAL, "a2");
	submit(client, "first", GEARMAN_JOB_PRIORITY_NORMAL, "a3");
	submit(client, "second", GEARMAN_JOB_PRIORITY_NORMAL, "b1");
	submit(client, "second", GEARMAN_JOB_PRIORITY_NORMAL, "b2");
	submit(client, "second", GEARMAN_JOB_PRIORITY_NORMAL, "b3");
	define(worker, "first", fn_note);
	define(worker, "second", fn_note);
	t = work(worker);
	await_notes(6);
	show_notes("order");
	gearman_client_free(client);
	stop(t);
}

static void *do_low(void *argument)
{
	gearman_client_st *client = new_client();
	gearman_return_t code;
	size_t size;

	free(gearman_client_do_low(client, "note", NULL, argument, strlen(argument), &size, &code));
	must(code, argument);
	gearman_client_free(client);
	return NULL;
}

static void *do_high(void *argument)
{
	gearman_client_st *client = new_client();
	gearman_return_t code;
	size_t size;

	free(gearman_client_do_high(client, "note", NULL, argument, strlen(argument), &size, &code));
	must(code, argument);
	gearman_client_free(client);
	return NULL;
}

/* It is all the same whether somebody waits for a job. */
static void foreground_too(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	pthread_t low, high;
	struct thread *t;

	submit(client, "note", GEARMAN_JOB_PRIORITY_LOW, "low1");
	pthread_create(&low, NULL, do_low, "low2");
	await_function("note", 2, 0, 0);
	submit(client, "note", GEARMAN_JOB_PRIORITY_LOW, "low3");
	submit(client, "note", GEARMAN_JOB_PRIORITY_NORMAL, "normal");
	pthread_create(&high, NULL, do_high, "high");
	await_function("note", 5, 0, 0);
	define(worker, "note", fn_note);
	t = work(worker);
	await_notes(5);
	pthread_join(low, NULL);
	pthread_join(high, NULL);
	show_notes("order");
	gearman_client_free(client);
	stop(t);
}

const struct scenario order_cases[] = {
	{"order_priorities", priorities},
	{"order_across_functions", across_functions},
	{"order_functions", function_order},
	{"order_round_robin", function_order},
	{"order_foreground", foreground_too},
	{NULL, NULL},
};
