// Package shell is Gearman from the shell: Submit sends what stands on standard input as a job, and Work
// runs a command for each job of some functions. Both speak to any Gearman server.
package shell
