package main

import (
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// fileAsRead is the configuration file at the server's start.
type fileAsRead struct {
	path   string            // absolute; "" if there is none
	values map[string]string // by option, as set by the file
	fixed  map[string]bool   // options set by the command line or a variable
}

// noteFile records what the configuration file has set.
func (o *options) noteFile(flags *pflag.FlagSet) error {
	path, err := filepath.Abs(o.configFile) // a process in the background changes its directory
	if err != nil {
		return err
	}
	o.asRead = fileAsRead{path: path, values: setIn(flags, o.configFile), fixed: map[string]bool{}}
	flags.Visit(func(f *pflag.Flag) {
		_, inFile := o.asRead.values[f.Name]
		o.asRead.fixed[f.Name] = !inFile
	})
	return nil
}

// setIn returns the values of the flags that a file set.
func setIn(flags *pflag.FlagSet, path string) map[string]string {
	values := map[string]string{}
	flags.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(sourceOf(f), path+":") {
			values[f.Name] = strings.Join(valuesOf(f), " ")
		}
	})
	return values
}

// warnOfFile logs what a restart would find in the configuration file: errors, or changed values.
func (p *process) warnOfFile() {
	path := p.asRead.path
	if path == "" {
		return
	}
	now, err := readAlone(path, io.Discard)
	if err != nil {
		p.log.Error("the configuration file has a mistake: the server goes on as it is, but would not start with it", "error", err)
		return
	}
	if changed := p.asRead.changed(setIn(now.parsed, path)); len(changed) > 0 {
		p.log.Warn("options in the configuration file have changed: they take effect after a restart", "options",
			strings.Join(changed, ", "))
	}
}

// changed returns the options whose values in the file have changed, without those that the file does not
// determine.
func (f *fileAsRead) changed(now map[string]string) (names []string) {
	for name, value := range now {
		if before, ok := f.values[name]; (!ok || before != value) && !f.fixed[name] {
			names = append(names, name)
		}
	}
	for name := range f.values {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
