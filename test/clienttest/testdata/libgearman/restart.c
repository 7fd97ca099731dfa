/*
 * The server goes and comes back on the same port. The test does that: it is told
 * with the fact "restart", and says with a line on the standard input that the
 * server is there again.
 */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>

static void restart(void)
{
	char line[16];

	fact("restart");
	if (fgets(line, sizeof line, stdin) == NULL)
		fail("the server does not come back");
}

static void call(gearman_client_st *client, const char *argument)
{
	gearman_return_t code;
	size_t size;
	char *result = gearman_client_do(client, "note", NULL, argument, strlen(argument), &size, &code);

	fact("%s: %s %.*s", argument, name(code), (int)size, result == NULL ? "" : result);
	free(result);
}

/* A client sees that its connection has gone at its next call at the latest; the one after that connects again. */
static void client_returns(void)
{
	gearman_client_st *client = new_client();
	gearman_worker_st *worker = new_worker();
	gearman_return_t code = GEARMAN_LOST_CONNECTION;
	struct thread *t;

	define(worker, "note", fn_note);
	t = work(worker);
	call(client, "before");
	restart();
	await_function("note", 0, 0, 1);
	fact("worker is back");
	for (int tries = 0; tries < 3 && code != GEARMAN_SUCCESS; tries++)
		code = gearman_client_echo(client, "x", 1);
	fact("echo: %s", name(code));
	call(client, "after");
	show_notes("worker");
	gearman_client_free(client);
	stop(t);
}

/* A worker that sleeps declares its functions again, its name and its limits too. */
static void sleeper_returns(void)
{
	gearman_worker_st *worker = new_worker();
	gearman_client_st *client;
	struct thread *t;

	must(gearman_worker_set_identifier(worker, "sleeper", 7), "gearman_worker_set_identifier");
	define(worker, "note", fn_note);
	define(worker, "reverse", fn_reverse);
	t = work(worker);
	await_text("workers", " sleeper : note reverse\n");
	restart();
	await_function("note", 0, 0, 1);
	await_function("reverse", 0, 0, 1);
	fact("functions are back");
	client = new_client();
	call(client, "after");
	gearman_client_free(client);
	stop(t);
}

const struct scenario restart_cases[] = {
	{"restart_client", client_returns},
	{"restart_sleeper", sleeper_returns},
	{NULL, NULL},
};
