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

// variablePrefix begins the names of environment variables for options.
const variablePrefix = "GEARLOOP_"

// notFromEnvironment are flags without a variable. Container images often use GEARLOOP_VERSION for something
// else.
var notFromEnvironment = map[string]bool{"help": true, "version": true, "check-args": true}

// variableOf returns the name of a flag's environment variable.
func variableOf(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets each flag that was not given from its variable: GEARLOOP_ and the flag's name in
// capitals, with underscores for dashes. Commas separate the values of a repeatable flag. Warnings go to
// warn.
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

// warnOfUnknown warns of variables that look like options but are none. Otherwise a misspelt one would start
// a server without, for instance, its directory.
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

// trimmed removes the common prefix, which would make all names similar.
func trimmed(names []string) (all []string) {
	for _, n := range names {
		all = append(all, strings.TrimPrefix(n, variablePrefix))
	}
	return all
}

// Patterns of the variables that Kubernetes and Docker set for a service called "gearloop" or
// "gearloop-something".
var (
	serviceName = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// ofOthers reports whether a variable that is no option serves another purpose.
func ofOthers(name, value string) bool {
	return name == variablePrefix+"VERSION" || name == serverVariable || name == tokenVariable || serviceName.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value) ||
		strings.HasSuffix(name, "_NAME") && strings.HasPrefix(value, "/") // of a link in Docker
}

// isPort reports whether a variable may be a port. For a service called like the program, Kubernetes sets a
// variable of that name to tcp://...
func isPort(name, text string, warn io.Writer) bool {
	if !strings.Contains(text, "://") {
		return true
	}
	fmt.Fprintf(warn, "%s: ignoring environment variable %s=%s: not a port\n", programName, name, text)
	return false
}
