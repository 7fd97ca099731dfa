package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// slopes is the memory of one more connection, in bytes, by purpose; and the rate of connecting.
type slopes map[string]float64

// column is a kind of connection in the table.
type column struct {
	title  string
	slopes slopes
}

// What the table has, in its order.
const (
	inOurs      = "Gearloop's: reactor"
	inSched     = "Gearloop's: scheduler"
	inGnet      = "gnet's"
	inOthers    = "Go's library"
	live        = "live heap"
	stacks      = "stacks"
	unused      = "heap that is not used, collector, rest"
	resident    = "**resident memory of the server**"
	sockets     = "kernel: TCP sockets"
	inodes      = "kernel: inodes and directory entries of them"
	files       = "kernel: open files"
	epoll       = "kernel: epoll"
	otherKernel = "kernel: other objects of fixed size"
	kernel      = "**kernel, of the server's end**"
	rate        = "connections per second, as the last of them came"
)

var rows = []string{
	inOurs, inSched, inGnet, inOthers, live, stacks, unused, resident, sockets, inodes, files, epoll, otherKernel, kernel, rate,
}

// slabRows are the rows of the kernel's kinds of objects.
var slabRows = map[string]string{
	"TCP": sockets, "TCPv6": sockets, "tcp_bind_bucket": sockets, "tcp_bind2_bucket": sockets,
	"sock_inode_cache": inodes, "dentry": inodes, "filp": files, "eventpoll_epi": epoll, "eventpoll_pwq": epoll, "ep_head": epoll,
}

// slopesOf returns the slopes of samples over numbers of connections. Half of the kernel's memory is for the
// other end, which is on this machine as well.
func slopesOf(counts []int, samples []sample) slopes {
	s := slopes{}
	of := func(f func(s *sample) float64) float64 {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = f(&samples[i])
		}
		return slope(counts, values)
	}
	packages := map[string]bool{}
	for i := range samples {
		for p := range samples[i].heap {
			packages[p] = true
		}
	}
	for p := range packages {
		row := inOthers
		switch {
		case p == "gearloop/sched":
			row = inSched
		case strings.HasPrefix(p, "gearloop/"):
			row = inOurs
		case strings.HasPrefix(p, "github.com/panjf2000/"):
			row = inGnet
		}
		s[row] += of(func(s *sample) float64 { return s.heap[p] })
	}
	s[live] = of(func(s *sample) float64 { return s.live })
	s[stacks] = of(func(s *sample) float64 { return s.stacks })
	s[resident] = of(func(s *sample) float64 { return s.resident })
	s[rate] = samples[len(samples)-1].rate
	s[unused] = s[resident] - s[live] - s[stacks]
	for kind := range samples[0].slabs {
		row, known := slabRows[kind]
		n := of(func(s *sample) float64 { return s.slabs[kind] }) / 2
		if !known {
			if !strings.HasPrefix(kind, "kmalloc") {
				continue // probably files that other processes read
			}
			row = otherKernel
		}
		s[row] += n
		s[kernel] += n
	}
	return s
}

// slope returns the slope of the line that is nearest to the points, by least squares.
func slope(counts []int, values []float64) float64 {
	var x, y, xx, xy float64
	n := float64(len(counts))
	for i, c := range counts {
		x += float64(c)
		y += values[i]
		xx += float64(c) * float64(c)
		xy += float64(c) * values[i]
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// middle returns the median of each row.
func middle(all []slopes) slopes {
	m := slopes{}
	for _, row := range rows {
		var values []float64
		for _, s := range all {
			if v, ok := s[row]; ok {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			slices.Sort(values)
			m[row] = values[len(values)/2]
		}
	}
	return m
}

// writeTable writes a table in Markdown.
func writeTable(out io.Writer, counts []int, columns []column) {
	head, line := "| bytes for each", "|---"
	for _, c := range columns {
		head, line = head+" | "+c.title, line+"|--:"
	}
	fmt.Fprintf(out, "Slopes over %s connections.\n\n%s |\n%s|\n", strings.Join(strings.Fields(strings.Trim(fmt.Sprint(counts), "[]")), ", "), head, line)
	for _, row := range rows {
		fmt.Fprintf(out, "| %s", row)
		for _, c := range columns {
			if v, ok := c.slopes[row]; ok {
				fmt.Fprintf(out, " | %.0f", v)
			} else {
				fmt.Fprint(out, " | –")
			}
		}
		fmt.Fprintln(out, " |")
	}
}
