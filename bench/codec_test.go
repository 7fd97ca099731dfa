package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gearloop/codec"
)

// readBuffer is how much one read from a socket brings, in bytes.
const readBuffer = 64 << 10

var payloadSizes = []int{0, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20}

// bufferOf returns as many whole copies of item as fit into a read buffer, at least one.
func bufferOf(item []byte) []byte {
	return bytes.Repeat(item, max(readBuffer/len(item), 1))
}

// BenchmarkCodecDecode takes frames off a buffer that holds nothing but whole ones.
func BenchmarkCodecDecode(b *testing.B) {
	for _, size := range payloadSizes {
		frame := codec.AppendRequest(nil, codec.SubmitJob, "reverse", "", strings.Repeat("x", size))
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			buf := bufferOf(frame)
			defer perFrame(b, frame)()
			rest := buf
			for b.Loop() {
				it, err := codec.Next(rest, 64<<20)
				if err != nil || it.Kind != codec.Frame {
					b.Fatal(it.Kind, err)
				}
				if rest = rest[it.Len:]; len(rest) == 0 {
					rest = buf
				}
			}
		})
	}
}

// BenchmarkCodecArguments takes frames off a buffer and cuts them into function, unique id and argument.
func BenchmarkCodecArguments(b *testing.B) {
	for _, size := range payloadSizes {
		frame := codec.AppendRequest(nil, codec.SubmitJob, "reverse", "8f4b0e6c-1c1d", strings.Repeat("x", size))
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			buf := bufferOf(frame)
			defer perFrame(b, frame)()
			rest := buf
			for b.Loop() {
				it, err := codec.Next(rest, 64<<20)
				_, args, ok := codec.Cut(it.Data)
				_, arg, ok2 := codec.Cut(args)
				if err != nil || !ok || !ok2 || len(arg) != size {
					b.Fatal(it.Kind, err)
				}
				if rest = rest[it.Len:]; len(rest) == 0 {
					rest = buf
				}
			}
		})
	}
}

// BenchmarkCodecHead looks at a frame of which only the beginning has come.
func BenchmarkCodecHead(b *testing.B) {
	frame := codec.AppendRequest(nil, codec.SubmitJob, "reverse", "", strings.Repeat("x", 1<<20))
	head := frame[:readBuffer]
	b.ReportAllocs()
	for b.Loop() {
		if it, err := codec.Next(head, 64<<20); err != nil || it.Kind != codec.Head {
			b.Fatal(it.Kind, err)
		}
	}
}

// BenchmarkCodecEncode writes frames, as much as goes out with one write, with their payload.
func BenchmarkCodecEncode(b *testing.B) {
	for _, size := range payloadSizes {
		args := []string{"H:host:1234567", strings.Repeat("x", size)}
		frame := codec.AppendPacket(nil, codec.WorkComplete, args...)
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			buf := bufferOf(frame)
			defer perFrame(b, frame)()
			b.SetBytes(int64(len(frame)))
			out := buf[:0]
			for b.Loop() {
				if len(out)+len(frame) > cap(out) {
					out = out[:0]
				}
				out = codec.AppendPacket(out, codec.WorkComplete, args...)
			}
		})
	}
}

// BenchmarkCodecHeader writes headers only, for payloads that are sent by reference.
func BenchmarkCodecHeader(b *testing.B) {
	out := make([]byte, 0, codec.HeaderSize)
	b.ReportAllocs()
	for b.Loop() {
		out = codec.AppendHeader(out[:0], codec.WorkComplete, 1<<20)
	}
}

// BenchmarkCodecLine takes text lines off a buffer and finds their commands.
func BenchmarkCodecLine(b *testing.B) {
	for _, line := range []string{"status\n", "maxqueue reverse 10\r\n", "maxqueue " + strings.Repeat("x", 8000) + "\n"} {
		b.Run(fmt.Sprintf("length=%d", len(line)), func(b *testing.B) {
			buf := bufferOf([]byte(line))
			b.ReportAllocs()
			rest := buf
			for b.Loop() {
				it, err := codec.Next(rest, 0)
				if command, _ := codec.Command(it.Data); err != nil || command == "" {
					b.Fatal(it.Kind, err)
				}
				if rest = rest[it.Len:]; len(rest) == 0 {
					rest = buf
				}
			}
		})
	}
}

// perFrame has memory and bytes reported per frame: ns/op is the time of one. The function that it
// returns has to be called at the end.
func perFrame(b *testing.B, frame []byte) (end func()) {
	b.ReportAllocs()
	return func() { b.ReportMetric(float64(len(frame)), "B/frame") }
}
