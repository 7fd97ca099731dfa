#include "observe.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const char *server_host;
in_port_t server_port;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void fact(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	flockfile(stdout);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
	va_end(arguments);
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	/* Other threads may be anywhere: nothing is cleaned up. */
	_exit(1);
}

void must(gearman_return_t result, const char *what)
{
	if (gearman_failed(result))
		fail("%s: %s", what, gearman_strerror(result));
}

const char *name(gearman_return_t code)
{
	const char *text = gearman_strerror(code);
	static const char prefix[] = "GEARMAN_";

	return strncmp(text, prefix, sizeof prefix - 1) == 0 ? text + sizeof prefix - 1 : text;
}

const char *form(const char *handle)
{
	int end = 0;

	if (handle == NULL)
		return "nothing";
	if (sscanf(handle, "H:%*[^:]:%*[0-9]%n", &end) == 0 && end > 0 && handle[end] == '\0')
		return "H";
	return handle;
}

/* What workers have noted, each note with a blank before it. */
static char notes[16384];
static int note_count;

void note(const char *format, ...)
{
	va_list arguments;
	size_t used;

	va_start(arguments, format);
	pthread_mutex_lock(&lock);
	used = strlen(notes);
	if (used + 256 > sizeof notes)
		fail("too many notes");
	notes[used] = ' ';
	vsnprintf(notes + used + 1, sizeof notes - used - 1, format, arguments);
	note_count++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	va_end(arguments);
}

void show_notes(const char *title)
{
	pthread_mutex_lock(&lock);
	fact("%s:%s", title, notes);
	notes[0] = '\0';
	note_count = 0;
	pthread_mutex_unlock(&lock);
}

void await_notes(int count)
{
	pthread_mutex_lock(&lock);
	while (note_count < count)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static bool open_gate;

void gate_wait(void)
{
	pthread_mutex_lock(&lock);
	while (!open_gate)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void gate_open(void)
{
	pthread_mutex_lock(&lock);
	open_gate = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

gearman_client_st *new_client(void)
{
	gearman_client_st *client = gearman_client_create(NULL);

	if (client == NULL)
		fail("gearman_client_create failed");
	must(gearman_client_add_server(client, server_host, server_port), "gearman_client_add_server");
	return client;
}

gearman_worker_st *new_worker(void)
{
	gearman_worker_st *worker = gearman_worker_create(NULL);

	if (worker == NULL)
		fail("gearman_worker_create failed");
	must(gearman_worker_add_server(worker, server_host, server_port), "gearman_worker_add_server");
	return worker;
}

void define(gearman_worker_st *worker, const char *function, gearman_function_fn *body)
{
	must(gearman_worker_define_function(worker, function, strlen(function), gearman_function_create_v2(body), 0, NULL),
	     "gearman_worker_define_function");
}

struct thread {
	pthread_t id;
	gearman_worker_st *worker;
	gearman_id_t handle;
	gearman_return_t last;
};

static void *loop(void *argument)
{
	struct thread *t = argument;

	do
		t->last = gearman_worker_work(t->worker);
	while (t->last == GEARMAN_SUCCESS || t->last == GEARMAN_WORK_FAIL || t->last == GEARMAN_WORK_ERROR ||
	       t->last == GEARMAN_TIMEOUT || t->last == GEARMAN_LOST_CONNECTION || t->last == GEARMAN_COULD_NOT_CONNECT ||
	       t->last == GEARMAN_WORK_EXCEPTION);
	return NULL;
}

struct thread *work(gearman_worker_st *worker)
{
	struct thread *t = calloc(1, sizeof *t);

	if (t == NULL)
		fail("no memory");
	t->worker = worker;
	t->handle = gearman_worker_id(worker);
	if (pthread_create(&t->id, NULL, loop, t) != 0)
		fail("pthread_create failed");
	return t;
}

gearman_return_t ended(struct thread *t)
{
	gearman_return_t last;

	pthread_join(t->id, NULL);
	last = t->last;
	gearman_worker_free(t->worker);
	free(t);
	return last;
}

void stop(struct thread *t)
{
	gearman_return_t last;

	must(gearman_kill(t->handle, GEARMAN_INTERRUPT), "gearman_kill");
	last = ended(t);
	if (last != GEARMAN_SHUTDOWN_GRACEFUL)
		fail("a worker that was shut down ended with %s", gearman_strerror(last));
}
