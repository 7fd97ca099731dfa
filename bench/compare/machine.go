package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine describes the machine of a measurement.
type machine struct {
	CPU     string   `json:"cpu"`
	Cores   int      `json:"cores"`
	Memory  string   `json:"memory"`
	System  string   `json:"system"`
	Servers []string `json:"servers"` // and their versions
}

func describeMachine() machine {
	m := machine{CPU: after("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: after("/proc/meminfo", "MemTotal")}
	var kib int64
	if _, err := fmt.Sscanf(m.Memory, "%d kB", &kib); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _, _ := strings.Cut(string(release), "-")
	m.System = "Linux " + strings.TrimSpace(version)
	if name := strings.Trim(value("/etc/os-release", "PRETTY_NAME", "="), `"`); name != "" {
		m.System += ", " + name
	}
	m.Servers = []string{"Gearloop with " + strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for _, p := range []struct{ name, debianPackage string }{{"Perl", "gearman-server"}, {"C", "gearman-job-server"}} {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", p.debianPackage).Output()
		if err == nil && len(out) > 0 {
			m.Servers = append(m.Servers, fmt.Sprintf("%s: %s %s", p.name, p.debianPackage, out))
		}
	}
	return m
}

// after returns the text after a name and a colon in a file.
func after(file, name string) string { return value(file, name, ":") }

func value(file, name, separator string) string {
	content, _ := os.ReadFile(file)
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		key, v, _ := strings.Cut(lines.Text(), separator)
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// command returns the command line that repeats the measurement.
func command() string { return "go run ./bench/compare " + strings.Join(os.Args[1:], " ") }
