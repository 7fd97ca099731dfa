package bench

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"gearloop/codec"
)

var (
	tableServers  = flag.String("table-servers", "gearloop", "servers of BenchmarkTables, separated by commas; NAME=COMMAND starts one that is not known")
	tableCommands = flag.String("table-commands", "jobs,status,clients", "text commands of BenchmarkTables, separated by commas")
	tableJobs     = flag.Int("table-jobs", 400_000, "jobs that are queued in BenchmarkTables")
	tableAsked    = flag.Int("table-asked", 200, "how often BenchmarkTables asks in one write")
)

// BenchmarkTables is what others notice of text commands that look at everything. A peer sends the same
// command many times in one write and reads the answers, while many jobs are queued; another one sends an
// echo every 5 ms and notes when its answer comes, counted from the moment when it was due.
// max-ms and p99-ms are of these answers, answers/s and MB/s of the tables. ended-early is 1 when
// the server ended the connection of who asked.
func BenchmarkTables(b *testing.B) {
	for _, name := range strings.Split(*tableServers, ",") {
		label, _, _ := strings.Cut(name, "=")
		b.Run("server="+label, func(b *testing.B) {
			addr := startServer(b, name).Addr
			queueOnServer(b, addr, *tableJobs)
			for _, command := range strings.Split(*tableCommands, ",") {
				b.Run("command="+strings.ReplaceAll(command, " ", "-"), func(b *testing.B) {
					for range b.N {
						benchmarkTable(b, addr, command)
					}
				})
			}
		})
	}
}

// queueOnServer submits background jobs of 1,000 functions.
func queueOnServer(b *testing.B, addr string, jobs int) {
	c := dialServer(b, addr)
	defer c.Close()
	answers := bufio.NewReaderSize(c, 1<<20)
	for done := 0; done < jobs; {
		n := min(1000, jobs-done)
		var out []byte
		for i := range n {
			out = codec.AppendRequest(out, codec.SubmitJobBg, "function-"+strconv.Itoa(i), "", "argument")
		}
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		for range n {
			if _, err := codec.ReadResponse(answers, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
		done += n
	}
}

func dialServer(b *testing.B, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func benchmarkTable(b *testing.B, addr, command string) {
	asker := dialServer(b, addr)
	defer asker.Close()
	stop, stopped := make(chan struct{}), make(chan *hdrhistogram.Histogram)
	go func() { stopped <- echoes(b, addr, stop) }()

	begin := time.Now()
	if _, err := io.WriteString(asker, strings.Repeat(command+"\n", *tableAsked)); err != nil {
		b.Error(err)
	}
	tables, size, err := readTables(asker, *tableAsked)
	took := time.Since(begin).Seconds()
	close(stop)
	times := <-stopped
	b.ReportMetric(float64(times.Max())/1e6, "max-ms")
	b.ReportMetric(float64(times.ValueAtQuantile(50))/1e6, "p50-ms")
	b.ReportMetric(float64(times.ValueAtQuantile(99))/1e6, "p99-ms")
	b.ReportMetric(float64(tables)/took, "answers/s")
	b.ReportMetric(float64(size)/1e6/took, "MB/s")
	b.ReportMetric(0, "ns/op")
	if err != nil {
		b.ReportMetric(1, "ended-early")
	}
}

// readTables reads answers until there are that many.
func readTables(c net.Conn, want int) (tables, size int, err error) {
	buf := make([]byte, 256<<10)
	end := byte('\n') // of what was read before
	for tables < want {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(buf)
		if err != nil {
			return tables, size, err
		}
		size += n
		// The end of a table is a line of its own: "." after the end of a line.
		if end == '\n' && buf[0] == '.' {
			tables++
		}
		tables += bytes.Count(buf[:n], []byte("\n."))
		end = buf[n-1]
	}
	return tables, size, nil
}

// echoes sends an echo every 5 ms until it is told to stop, and returns how long each took, in nanoseconds.
func echoes(b *testing.B, addr string, stop chan struct{}) *hdrhistogram.Histogram {
	times := hdrhistogram.New(1000, int64(10*time.Minute), 3)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return times
	}
	defer c.Close()
	// A blocking socket and a thread of its own: otherwise it is Go's scheduler here that is measured.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		b.Error(err)
		return times
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		b.Error(err)
		return times
	}
	request := codec.AppendRequest(nil, codec.EchoReq, "x")
	answer := make([]byte, len(request))
	for due := time.Now(); ; due = due.Add(5 * time.Millisecond) {
		time.Sleep(time.Until(due))
		if _, err := unix.Write(fd, request); err != nil {
			b.Error(err)
			return times
		}
		if n, err := unix.Read(fd, answer); err != nil || n != len(answer) {
			b.Errorf("an echo of %d bytes: %v", n, err)
			return times
		}
		times.RecordValue(int64(time.Since(due)))
		select {
		case <-stop:
			return times
		default:
		}
	}
}
