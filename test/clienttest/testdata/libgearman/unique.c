/* Submissions with one unique id are one job. */
#include "observe.h"

#include <pthread.h>
#include <stdlib.h>

struct submission {
	pthread_t id;
	const char *function, *unique, *argument;
	char result[128];
	gearman_return_t code;
};

static void *submit(void *argument)
{
	struct submission *s = argument;
	gearman_client_st *client = new_client();
	size_t size = 0;
	char *result =
		gearman_client_do(client, s->function, s->unique, s->argument, strlen(s->argument), &size, &s->code);

	if (size >= sizeof s->result)
		fail("a result of %zu bytes", size);
	if (result != NULL)
		memcpy(s->result, result, size);
	free(result);
	gearman_client_free(client);
	return NULL;
}

static void start(struct submission *s, const char *function, const char *unique, const char *argument)
{
	*s = (struct submission){.function = function, .unique = unique, .argument = argument};
	if (pthread_create(&s->id, NULL, submit, s) != 0)
		fail("pthread_create failed");
}

static void show(struct submission *s, const char *title)
{
	pthread_join(s->id, NULL);
	fact("%s: %s %s", title, name(s->code), s->result);
}

/* STATUS_RES_UNIQUE has the number of listeners, for which the library has no accessor. */
static void await_listeners(const char *unique, uint32_t n)
{
	gearman_client_st *client = new_client();

	while (gearman_client_unique_status(client, unique, strlen(unique)).status_.mesg_.client_count != n)
		pause_ms(2);
	gearman_client_free(client);
}

/* Three clients, two of them while the job waits and one while it runs. */
static void coalesced(void)
{
	gearman_worker_st *worker = new_worker();
	struct submission first, second, third;
	struct thread *t;

	start(&first, "held", "one id", "first");
	await_listeners("one id", 1);
	start(&second, "held", "one id", "second");
	await_listeners("one id", 2);
	define(worker, "held", fn_held);
	t = work(worker);
	await_notes(1);
	start(&third, "held", "one id", "third");
	await_listeners("one id", 3);
	gate_open();
	show(&first, "first");
	show(&second, "second");
	show(&third, "third");
	show_notes("worker");
	/* The id is free again. */
	start(&first, "held", "one id", "fourth");
	show(&first, "fourth");
	show_notes("worker");
	stop(t);
}

/* One id for two functions is two jobs. */
static void per_function(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	gearman_job_handle_t first, second, third;
	struct thread *t;

	must(gearman_client_do_background(client, "one", "id", "one", 3, first), "one");
	must(gearman_client_do_background(client, "two", "id", "two", 3, second), "two");
	must(gearman_client_do_background(client, "one", "id", "again", 5, third), "again");
	fact("same function: %s", strcmp(first, third) == 0 ? "one job" : "two jobs");
	fact("another function: %s", strcmp(first, second) == 0 ? "one job" : "two jobs");
	define(worker, "one", fn_note);
	define(worker, "two", fn_note);
	t = work(worker);
	await_notes(2);
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

/* The id - stands for the argument itself. */
static void by_argument(void)
{
	gearman_client_st *client = new_client();
	gearman_job_handle_t first, second, third;

	must(gearman_client_do_background(client, "f", "-", "same", 4, first), "first");
	must(gearman_client_do_background(client, "f", "-", "same", 4, second), "second");
	must(gearman_client_do_background(client, "f", "-", "other", 5, third), "third");
	fact("same argument: %s", strcmp(first, second) == 0 ? "one job" : "two jobs");
	fact("another argument: %s", strcmp(first, third) == 0 ? "one job" : "two jobs");
	gearman_client_free(client);
}

static gearman_return_t note_unique(gearman_job_st *job, void *context)
{
	const char *unique = gearman_job_unique(job);

	(void)context;
	note("%s:%zu:%s", gearman_job_function_name(job), strlen(unique), strlen(unique) == 36 ? "uuid" : unique);
	return GEARMAN_SUCCESS;
}

/* What the worker sees of the id: the client's own, one that the library made, one of the greatest length. */
static void shown_to_worker(void)
{
	static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123";
	static const char over[] = "01234567890123456789012345678901234567890123456789012345678901234";
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client = new_client();
	struct submission s;
	struct thread *t;

	gearman_worker_add_options(worker, GEARMAN_WORKER_GRAB_UNIQ);
	define(worker, "u", note_unique);
	t = work(worker);
	start(&s, "u", "my-id", "x");
	show(&s, "my-id");
	start(&s, "u", NULL, "x");
	show(&s, "none");
	fact("longest: %s", name(gearman_client_do_background(client, "u", longest, "x", 1, NULL)));
	await_notes(3);
	show_notes("worker");
	fact("too long: %s", name(gearman_client_do_background(client, "u", over, "x", 1, NULL)));
	gearman_client_free(client);
	stop(t);
}

const struct scenario unique_cases[] = {
	{"unique_coalesced", coalesced},
	{"unique_per_function", per_function},
	{"unique_by_argument", by_argument},
	{"unique_shown_to_worker", shown_to_worker},
	{NULL, NULL},
};
