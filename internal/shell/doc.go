// Package shell is Gearman for the shell: Submit sends standard input as a job, and Work runs a command for
// each job of some functions. Both talk to any Gearman server.
package shell
