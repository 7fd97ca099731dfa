package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// notFromEnvironment are flags without a variable. GEARLOOP_VERSION is a name that container images
// like to use for something else.
var notFromEnvironment = map[string]bool{"help": true, "version": true, "check-args": true}

// fromEnvironment sets every flag that was not given from its variable: GEARLOOP_ and the flag's
// name in capitals, dashes as underscores. Several values of a repeatable flag are separated by
// commas. Warnings go to warn.
func fromEnvironment(f *pflag.FlagSet, warn io.Writer) error {
	var first error
	f.VisitAll(func(flag *pflag.Flag) {
		name := "GEARLOOP_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		text, ok := os.LookupEnv(name)
		if !ok || flag.Changed || first != nil || notFromEnvironment[flag.Name] {
			return
		}
		if (flag.Name == "port" || flag.Name == "http-port") && !isPort(name, text, warn) {
			return
		}
		values := []string{text}
		if flag.Value.Type() == "stringArray" {
			values = strings.Split(text, ",")
		}
		for _, v := range values {
			if err := f.Set(flag.Name, v); err != nil {
				first = fmt.Errorf("environment variable %s: invalid value %q for --%s", name, text, flag.Name)
			}
		}
	})
	return first
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
