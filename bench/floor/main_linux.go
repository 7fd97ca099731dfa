package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4730", "`address` to listen on; port 0 is any free one")
	flag.Parse()
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// run listens and relays until standard input ends.
func run(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	// The duplicated descriptor is ours alone: Go's poller does not know it.
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	r, err := newRelay(int(file.Fd()))
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	listener.Close()
	// This fails if standard input is /dev/null or a file: they are always at their end.
	if err := r.watch(unix.EPOLL_CTL_ADD, 0, unix.EPOLLIN); err != nil && err != unix.EPERM {
		return err
	}
	err = r.run()
	runtime.KeepAlive(file)
	return err
}
