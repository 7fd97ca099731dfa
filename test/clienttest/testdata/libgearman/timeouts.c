/* Workers that do not finish a job: too slow, or gone. The job goes to another. */
#include "observe.h"

#include <pthread.h>
#include <stdlib.h>

struct call {
	pthread_t id;
	const char *function;
	gearman_return_t code;
	char result[64];
};

static void *run(void *argument)
{
	struct call *c = argument;
	gearman_client_st *client = new_client();
	size_t size = 0;
	char *result = gearman_client_do(client, c->function, NULL, "job", 3, &size, &c->code);

	if (result != NULL && size < sizeof c->result)
		memcpy(c->result, result, size);
	free(result);
	gearman_client_free(client);
	return NULL;
}

static void start(struct call *c, const char *function)
{
	*c = (struct call){.function = function};
	if (pthread_create(&c->id, NULL, run, c) != 0)
		fail("pthread_create failed");
}

static void show(struct call *c)
{
	pthread_join(c->id, NULL);
	fact("client: %s %s", name(c->code), c->result);
}

static gearman_job_st *grab(gearman_worker_st *worker)
{
	gearman_return_t code;
	gearman_job_st *job = gearman_worker_grab_job(worker, NULL, &code);

	must(code, "gearman_worker_grab_job");
	return job;
}

/* A limit of one millisecond counts as one second, and passes: the job is queued again and another worker does it; the late result changes nothing. */
static void too_slow(void)
{
	gearman_worker_st *slow = new_worker(), *quick = new_worker();
	gearman_job_st *late;
	struct thread *t;
	struct call c;

	must(gearman_worker_register(slow, "f", 1), "gearman_worker_register");
	start(&c, "f");
	await_function("f", 1, 0, -1);
	late = grab(slow);
	fact("slow worker has %.*s", (int)gearman_job_workload_size(late), (const char *)gearman_job_workload(late));
	await_function("f", 1, 0, 1);
	fact("queued again");
	define(quick, "f", fn_note);
	t = work(quick);
	show(&c);
	show_notes("quick worker");
	fact("late result: %s", name(gearman_job_send_complete(late, "late", 4)));
	await_function("f", 0, 0, 2);
	gearman_job_free(late);
	gearman_worker_free(slow);
	stop(t);
}

/* Within its limit a job ends as ever. */
static void in_time(void)
{
	gearman_worker_st *worker = new_worker();
	struct thread *t;
	struct call c;

	must(gearman_worker_define_function(worker, "f", 1, gearman_function_create_v2(fn_note), 60000, NULL),
	     "gearman_worker_define_function");
	t = work(worker);
	start(&c, "f");
	show(&c);
	show_notes("worker");
	stop(t);
}

/* A worker that goes with a job in hand leaves it to the next; its client waits on. */
static void gone(void)
{
	gearman_worker_st *first = new_worker(), *second = new_worker();
	struct thread *t;
	struct call c;

	must(gearman_worker_register(first, "f", 0), "gearman_worker_register");
	start(&c, "f");
	await_function("f", 1, 0, -1);
	grab(first);
	await_function("f", 1, 1, 1);
	gearman_worker_free(first);
	await_function("f", 1, 0, 0);
	fact("queued again");
	define(second, "f", fn_note);
	t = work(second);
	show(&c);
	show_notes("second worker");
	stop(t);
}

/* The same with a worker that sleeps already: it is woken. */
static void gone_while_another_sleeps(void)
{
	gearman_worker_st *first = new_worker(), *second = new_worker();
	gearman_client_st *client = new_client();
	struct thread *t;

	must(gearman_worker_register(first, "f", 0), "gearman_worker_register");
	must(gearman_client_do_background(client, "f", NULL, "job", 3, NULL), "gearman_client_do_background");
	grab(first);
	define(second, "f", fn_note);
	t = work(second);
	await_function("f", 1, 1, 2);
	gearman_worker_free(first);
	await_notes(1);
	show_notes("second worker");
	await_function("f", 0, 0, 1);
	gearman_client_free(client);
	stop(t);
}

/* With --job-retries a job that takes its workers with it fails in the end. */
static void retries_used_up(void)
{
	struct call c;

	start(&c, "f");
	for (int i = 1; i <= 3; i++) {
		gearman_worker_st *worker = new_worker();
		char *answer;
		bool waits;

		must(gearman_worker_register(worker, "f", 0), "gearman_worker_register");
		/* A worker that asks too early is told that there is nothing: grab does not wait for the client. */
		await_function("f", i == 1 ? 1 : -1, 0, 0);
		answer = ask("status");
		waits = strstr(answer, "f\t1\t") == answer;
		free(answer);
		if (i > 1 && !waits) {
			gearman_worker_free(worker);
			break;
		}
		grab(worker);
		fact("worker %d has it", i);
		gearman_worker_free(worker);
	}
	show(&c);
}

const struct scenario timeout_cases[] = {
	{"timeout_too_slow", too_slow},
	{"timeout_in_time", in_time},
	{"worker_gone", gone},
	{"worker_gone_another_sleeps", gone_while_another_sleeps},
	{"worker_retries_used_up", retries_used_up},
	{NULL, NULL},
};
