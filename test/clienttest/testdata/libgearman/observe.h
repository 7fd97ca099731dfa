/*
 * What all cases share. A case prints facts, one per line, and nothing else on
 * its standard output; the tests compare them. It makes its own clients and its
 * own workers, which run in threads of this process.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libgearman/gearman.h>

/* The address of the server under test. */
extern const char *server_host;
extern in_port_t server_port;

/* fact prints one line. */
void fact(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* fail ends the program: what happened makes the rest of the case pointless. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* must ends the program unless the call succeeded. */
void must(gearman_return_t result, const char *what);

/* name returns the name of a code, without the prefix GEARMAN_. */
const char *name(gearman_return_t code);

/* form returns "H" for a job handle of the form H:host:number, else the text itself. */
const char *form(const char *handle);

/*
 * note records what a worker saw, from any thread. show_notes prints the notes in
 * the order they were made, as one fact that begins with title, and forgets them.
 */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void show_notes(const char *title);
/* await_notes waits until there are as many notes. */
void await_notes(int count);

/* now returns milliseconds since an arbitrary moment. */
int64_t now(void);
void pause_ms(int ms);

/* ask sends a text command on a connection of its own. The caller frees the answer. */
char *ask(const char *command);

/* await_function waits until the command status shows these numbers; -1 stands for any. */
void await_function(const char *function, int total, int running, int workers);

/* await_text waits until the answer to a text command has a line with this text in it, and prints nothing. */
void await_text(const char *command, const char *text);

gearman_client_st *new_client(void);
gearman_worker_st *new_worker(void);

/* define gives a worker a function of version 2, without a context. */
void define(gearman_worker_st *worker, const char *function, gearman_function_fn *body);

/* A worker that works in a thread until it is stopped. */
struct thread;
struct thread *work(gearman_worker_st *worker);
/* stop ends the thread with gearman_kill and frees the worker. */
void stop(struct thread *thread);
/* ended waits until the worker has ended by itself, frees it and returns the last code of gearman_worker_work. */
gearman_return_t ended(struct thread *thread);

/* A gate holds a worker function until it is opened. */
void gate_wait(void);
void gate_open(void);

/* Worker functions of version 2, in functions.c. Those that return something send it with gearman_job_send_complete. */
gearman_return_t fn_reverse(gearman_job_st *job, void *context);  /* its argument, backwards */
gearman_return_t fn_echo(gearman_job_st *job, void *context);     /* its argument */
gearman_return_t fn_note(gearman_job_st *job, void *context);     /* notes its argument and returns it */
gearman_return_t fn_held(gearman_job_st *job, void *context);     /* notes its argument, sends 3/7, waits at the gate, returns it */
gearman_return_t fn_steps(gearman_job_st *job, void *context);    /* sends data, a warning and two status, returns "stepped" */
gearman_return_t fn_fail(gearman_job_st *job, void *context);     /* fails */
gearman_return_t fn_throw(gearman_job_st *job, void *context);    /* sends its argument as exception */

/* text is a job's argument as a string; the caller frees it. */
char *text(gearman_job_st *job);

/* A case of the program. */
struct scenario {
	const char *name;
	void (*run)(void);
};

/* The cases, a table for each file, each of which ends with an empty entry. */
extern const struct scenario do_cases[], task_cases[], callback_cases[], status_cases[], order_cases[], unique_cases[],
	exception_cases[], execute_cases[], partition_cases[], option_cases[], admin_cases[], large_cases[], worker_cases[],
	timeout_cases[], nonblocking_cases[], restart_cases[];

#endif
