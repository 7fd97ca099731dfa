//go:build !linux

package sdnotify

// Reload is the state for reading the configuration again.
func Reload() string { return Reloading }
