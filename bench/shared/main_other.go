//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "shared: this needs Linux, and PostgreSQL from a package of Debian")
	os.Exit(1)
}
