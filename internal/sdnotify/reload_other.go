//go:build !linux

package sdnotify

// Reload tells that the process reads its configuration again.
func Reload() string { return Reloading }
