package codec_test

import (
	"fmt"
	"strings"

	"gearloop/codec"
)

// A server reads frames and lines from one buffer. What is incomplete stays in it until more bytes have come.
func ExampleNext() {
	buf := codec.AppendRequest(nil, codec.SubmitJob, "reverse", "", "hello")
	buf = append(buf, "status\r\n"...)
	buf = append(buf, codec.AppendRequest(nil, codec.GrabJob)[:5]...)

	for {
		item, err := codec.Next(buf, 1<<20)
		if err != nil {
			fmt.Println("close the connection:", err)
			return
		}
		switch item.Kind {
		case codec.Frame:
			function, rest, _ := codec.Cut(item.Data)
			_, argument, _ := codec.Cut(rest) // before it: the unique id
			fmt.Printf("%v of %s with %q\n", item.Type, function, argument)
		case codec.Line:
			command, _ := codec.Command(item.Data)
			fmt.Println("text command", command)
		default: // codec.Incomplete or codec.Head
			fmt.Println("bytes that wait for more:", len(buf))
			return
		}
		buf = buf[item.Len:]
	}
	// Output:
	// SUBMIT_JOB of reverse with "hello"
	// text command status
	// bytes that wait for more: 5
}

// A peer that speaks another protocol gets an error. Its connection has to be closed.
func ExampleNext_error() {
	_, err := codec.Next([]byte("GET / HTTP/1.1\r\n"), 1<<20)
	fmt.Println(err)
	// Output: an HTTP request where Gearman is spoken
}

// A client writes a request and reads the response.
func ExampleReadResponse() {
	request := codec.AppendRequest(nil, codec.GetStatus, "H:here:1")
	fmt.Printf("%q\n", request)

	// What a server answers:
	wire := codec.AppendPacket(nil, codec.StatusRes, "H:here:1", "1", "1", "7", "10")

	response, err := codec.ReadResponse(strings.NewReader(string(wire)), 1<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	args := response.Args(5)
	fmt.Printf("%v: job %s is at %s of %s\n", response.Type, args[0], args[3], args[4])
	// Output:
	// "\x00REQ\x00\x00\x00\x0f\x00\x00\x00\bH:here:1"
	// STATUS_RES: job H:here:1 is at 7 of 10
}
