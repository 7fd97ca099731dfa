/* Text commands, over a plain socket. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server_port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (inet_pton(AF_INET, server_host, &address.sin_addr) != 1)
		fail("%s is no address", server_host);
	if (fd == -1 || connect(fd, (struct sockaddr *)&address, sizeof address) == -1)
		fail("a connection for a text command is refused");
	return fd;
}

/* complete tells whether an answer has all its lines. */
static bool complete(const char *answer, size_t size)
{
	if (size < 2 || answer[size - 1] != '\n')
		return false;
	if (strncmp(answer, "OK", 2) == 0 || strncmp(answer, "ERR ", 4) == 0)
		return true;
	return strcmp(answer, ".\n") == 0 || (size > 2 && strcmp(answer + size - 3, "\n.\n") == 0);
}

char *ask(const char *command)
{
	size_t room = 1 << 20, size = 0;
	char *answer = malloc(room);
	int fd = dial();

	if (answer == NULL)
		fail("no memory");
	if (dprintf(fd, "%s\r\n", command) < 0)
		fail("%s: cannot be sent", command);
	do {
		ssize_t n = read(fd, answer + size, room - size - 1);
		if (n <= 0)
			fail("%s: the answer ends early", command);
		size += (size_t)n;
		answer[size] = '\0';
	} while (!complete(answer, size));
	close(fd);
	return answer;
}

static bool fits(int want, int got) { return want == -1 || want == got; }

/* row finds the line of a function and reads its three numbers. A function that is not shown has three zeroes. */
static void row(const char *answer, const char *function, int numbers[3])
{
	const char *line = answer;
	size_t length = strlen(function);

	numbers[0] = numbers[1] = numbers[2] = 0;
	for (; line != NULL && *line != '\0'; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, function, length) == 0 && line[length] == '\t') {
			sscanf(line + length, "%d%d%d", &numbers[0], &numbers[1], &numbers[2]);
			return;
		}
	}
}

void await_function(const char *function, int total, int running, int workers)
{
	for (;;) {
		char *answer = ask("status");
		int got[3];

		row(answer, function, got);
		free(answer);
		if (fits(total, got[0]) && fits(running, got[1]) && fits(workers, got[2]))
			return;
		pause_ms(2);
	}
}

void await_text(const char *command, const char *text)
{
	for (;;) {
		char *answer = ask(command);
		bool found = strstr(answer, text) != NULL;

		free(answer);
		if (found)
			return;
		pause_ms(2);
	}
}
