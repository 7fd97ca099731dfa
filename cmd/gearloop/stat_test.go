package main

import (
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// TestStat writes as many lines as are asked for, with heads now and then, from the second one on with rates.
func TestStat(t *testing.T) {
	r := newBroker(t)
	r.submit("f", "", "x")
	r.says("stat 10ms -n 2", `^TIME +STATE +WAITING .*CONNECTIONS\n[0-9:]+  ready +1 +0 +0( +-){4}( +\d+){3}\n[0-9:]+  ready +1 +0 +0( +[0-9.]+){7}\n$`)
	r.says("stat 10ms -n 1 --no-headers", `^[0-9:]+  ready [^\n]*\n$`)
	r.says("stat 10ms -n 2 --json", `^(\{"version":.*\}\n){2}$`)
	r.mistakes(true, map[string]string{
		"stat 0":         "the interval is 0: it must be more than 0",
		"stat soon":      `the interval: "soon" is not a time`,
		"stat 1 2":       "2 arguments: want an interval or none (see gearloop stat --help)",
		"stat --count x": "--count: ",
		"stat -n=-1":     "--count is -1: it must be 0 (until ^C) or more",
	})
}

// TestMetrics writes what Prometheus reads, or a slice of it.
func TestMetrics(t *testing.T) {
	r := newBroker(t)
	r.submit("mail.send", "", "x")
	r.submit("img", "", "x")
	r.says("metrics", `(?s)^# HELP gearman_up .*gearman_jobs\{function="img"\} 1\n.*gearloop_build_info`)
	r.says("metrics --functions mail.*", `(?s)gearman_jobs\{function="mail.send"\} 1\n`)
	if out := r.ok("metrics", "--functions", "mail.*"); strings.Contains(out, `"img"`) || strings.Contains(out, "gearman_up") {
		t.Errorf("a slice:\n%s", out)
	}
	r.mistakes(true, map[string]string{"metrics --functions=": "--functions: the value is empty", "metrics x": `unexpected argument "x"`})
}

// TestOperations lists actions on many jobs, shows one and stops one.
func TestOperations(t *testing.T) {
	r := newBroker(t)
	worker := wire.Dial(t, r.server.Addr)
	worker.Send(codec.CanDo, "g")
	r.submit("f", "", "x")
	r.submit("f", "", "x")
	r.says("operations", `^ID +ACTION .*JOBS\n$`)
	r.says("priority low --function f --older-than 0 --yes --reason later", `^2 jobs have another priority\n$`)
	id, _, _ := strings.Cut(r.ok("operations", "--no-headers"), " ")
	r.says("operations", `(?m)^`+id+` +priority low +done +2 +2 +0 +0 +\S+ +\S+ \S+ +function f, older than `)
	r.says("operations show "+id, `(?s)^operation +`+id+`\naction +priority low\njobs +function f, .*reason +later\nstate +done\nprogress +2 of 2 jobs changed, 0 skipped, 0 left\n`)
	r.says("operations show "+id+" --watch --json", `^\{"id":"`+id+`".*\}\n$`)
	r.says("operations stop "+id, `^operation `+id+` is done: 2 of 2 jobs changed\n$`)
	r.says("__complete operations show "+id[:1], `^`+id+"\tpriority low, done\n")
	r.mistakes(false, map[string]string{"operations show nosuch": `there is no operation "nosuch"`, "operations stop nosuch": `there is no operation "nosuch"`})
	r.mistakes(true, map[string]string{"operations nosuch": `unknown command "nosuch"`, "operations show": "0 arguments: want the id of an operation"})
}
