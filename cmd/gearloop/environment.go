package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// variablePrefix begins the names of our environment variables.
const variablePrefix = "GEARLOOP_"

// notFromEnvironment are flags without a variable. GEARLOOP_VERSION is a name that container images
// like to use for something else.
var notFromEnvironment = map[string]bool{"help": true, "version": true, "check-args": true}

// variableOf returns the name of a flag's environment variable.
func variableOf(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets every flag that was not given from its variable: GEARLOOP_ and the flag's
// name in capitals, dashes as underscores. Several values of a repeatable flag are separated by
// commas. Warnings go to warn.
func fromEnvironment(f *pflag.FlagSet, warn io.Writer) error {
	var first error
	known := map[string]bool{}
	f.VisitAll(func(flag *pflag.Flag) {
		name := variableOf(flag.Name)
		if notFromEnvironment[flag.Name] {
			return
		}
		known[name] = true
		value, ok := os.LookupEnv(name)
		if !ok || flag.Changed || first != nil {
			return
		}
		if (flag.Name == "port" || flag.Name == "http-port") && !isPort(name, value, warn) {
			return
		}
		if value == "" {
			first = fmt.Errorf("environment variable %s is empty: give it a value, or unset it", name)
			return
		}
		values := []string{value}
		if flag.Value.Type() == repeatable {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := setFrom(f, flag.Name, v, "environment variable "+name); err != nil && first == nil {
				first = err
			}
		}
	})
	if first == nil {
		warnOfUnknown(known, warn)
	}
	return first
}

// warnOfUnknown warns of variables that look as if they set an option, but don't. One that is misspelt would
// otherwise start a server without, for instance, its directory.
func warnOfUnknown(known map[string]bool, warn io.Writer) {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, variablePrefix) || known[name] || ofOthers(name, value) {
			continue
		}
		hint := ""
		if near := nearest(strings.TrimPrefix(name, variablePrefix), trimmed(names)); near != "" {
			hint = " (did you mean " + variablePrefix + near + "?)"
		}
		fmt.Fprintf(warn, "%s: ignoring environment variable %s, which is not an option%s\n", programName, name, hint)
	}
}

// trimmed returns names of variables without their common prefix, which would make all of them alike.
func trimmed(names []string) (all []string) {
	for _, n := range names {
		all = append(all, strings.TrimPrefix(n, variablePrefix))
	}
	return all
}

// Names of variables that Kubernetes and Docker set for a service called "gearloop" or "gearloop-something".
var (
	serviceName = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// ofOthers reports whether a variable that is not an option is meant for something else.
func ofOthers(name, value string) bool {
	return name == variablePrefix+"VERSION" || name == serverVariable || name == tokenVariable || serviceName.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value) ||
		strings.HasSuffix(name, "_NAME") && strings.HasPrefix(value, "/") // of a link in Docker
}

// isPort reports whether a variable can be meant as a port. Kubernetes sets one of that name to
// tcp://... for a service that is called as the program is.
func isPort(name, text string, warn io.Writer) bool {
	if !strings.Contains(text, "://") {
		return true
	}
	fmt.Fprintf(warn, "%s: ignoring environment variable %s=%s: not a port\n", programName, name, text)
	return false
}
