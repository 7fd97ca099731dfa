package codec

import "fmt"

// wire is one packet as it stands on the wire beside what it means. The tests
// decode raw to the rest and encode the rest to raw; the fuzzers start from raw.
//
// The tables lie in wire_client_test.go, wire_worker_test.go and wire_server_test.go, by
// who sends the packet; what no peer should send is in wire_broken_test.go.
type wire struct {
	name     string   // of the packet in the protocol, and what is special about this one
	typ      Type     //
	response bool     // magic "\0RES": from the server
	args     []string // its arguments; none at all and one empty one look the same
	raw      string   // a byte group a line: magic, type, size, then the arguments
}

// wires returns the well-formed packets of all tables.
func wires() []wire {
	var all []wire
	for _, table := range [][]wire{clientWires, workerWires, serverWires, strangeWires} {
		all = append(all, table...)
	}
	return all
}

// want returns the item that the whole packet is.
func (w wire) want() Item {
	return Item{
		Kind: Frame, Response: w.response, Type: w.typ,
		Size: len(w.raw) - HeaderSize, Data: []byte(w.raw[HeaderSize:]), Len: len(w.raw),
	}
}

// show writes an item so that two of them are the same when their text is.
func show(it Item) string {
	kind := [...]string{Incomplete: "incomplete", Head: "head", Frame: "frame", Line: "line"}[it.Kind]
	return fmt.Sprintf("%s response=%v type=%d size=%d len=%d data=%q", kind, it.Response, it.Type, it.Size, it.Len, it.Data)
}
