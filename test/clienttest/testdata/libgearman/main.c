/*
 * A program that uses libgearman's clients and workers as applications do, and
 * prints what it observes. It is called with the server's host:port and the name
 * of a case; without a name it lists the cases.
 */
#include "observe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How long a case may take, in seconds, before SIGALRM ends the program. The tests end it earlier. */
#define LIMIT 600

static const struct scenario *const tables[] = {
	do_cases, task_cases, callback_cases, status_cases, order_cases, unique_cases, exception_cases, execute_cases,
	partition_cases, option_cases, admin_cases, large_cases, worker_cases, timeout_cases, nonblocking_cases,
	restart_cases,
};

int main(int argc, char **argv)
{
	char *colon;

	if (argc == 3) {
		colon = strrchr(argv[1], ':');
		if (colon == NULL)
			fail("%s is no host:port", argv[1]);
		*colon = '\0';
		server_host = argv[1];
		server_port = (in_port_t)atoi(colon + 1);
		signal(SIGPIPE, SIG_IGN);
		alarm(LIMIT);
	}
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		for (const struct scenario *s = tables[i]; s->name != NULL; s++) {
			if (argc != 3) {
				printf("%s\n", s->name);
			} else if (strcmp(s->name, argv[2]) == 0) {
				s->run();
				return 0;
			}
		}
	}
	if (argc == 3)
		fail("there is no case %s", argv[2]);
	return 0;
}
