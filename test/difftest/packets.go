package difftest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// packetNames are the packets by number. The list is this package's own: a test that shared the server's
// would share its mistakes.
var packetNames = map[uint32]string{
	1: "CAN_DO", 2: "CANT_DO", 3: "RESET_ABILITIES", 4: "PRE_SLEEP",
	6: "NOOP", 7: "SUBMIT_JOB", 8: "JOB_CREATED", 9: "GRAB_JOB", 10: "NO_JOB",
	11: "JOB_ASSIGN", 12: "WORK_STATUS", 13: "WORK_COMPLETE", 14: "WORK_FAIL",
	15: "GET_STATUS", 16: "ECHO_REQ", 17: "ECHO_RES", 18: "SUBMIT_JOB_BG",
	19: "ERROR", 20: "STATUS_RES", 21: "SUBMIT_JOB_HIGH", 22: "SET_CLIENT_ID",
	23: "CAN_DO_TIMEOUT", 24: "ALL_YOURS", 25: "WORK_EXCEPTION",
	26: "OPTION_REQ", 27: "OPTION_RES", 28: "WORK_DATA", 29: "WORK_WARNING",
	30: "GRAB_JOB_UNIQ", 31: "JOB_ASSIGN_UNIQ", 32: "SUBMIT_JOB_HIGH_BG",
	33: "SUBMIT_JOB_LOW", 34: "SUBMIT_JOB_LOW_BG", 35: "SUBMIT_JOB_SCHED",
	36: "SUBMIT_JOB_EPOCH", 37: "SUBMIT_REDUCE_JOB",
	38: "SUBMIT_REDUCE_JOB_BACKGROUND", 39: "GRAB_JOB_ALL",
	40: "JOB_ASSIGN_ALL", 41: "GET_STATUS_UNIQUE", 42: "STATUS_RES_UNIQUE",
}

// argumentCounts is the number of arguments in a packet from the server; one by default.
var argumentCounts = map[uint32]int{
	6: 0, 10: 0, 11: 3, 12: 3, 13: 2, 19: 2, 20: 5, 25: 2, 28: 2, 29: 2,
	31: 4, 40: 5, 42: 6,
}

const (
	echoReq = 16
	echoRes = 17

	requestMagic  = "\x00REQ"
	responseMagic = "\x00RES"
	headerLength  = 12
)

var packetNumbers = func() map[string]uint32 {
	m := map[string]uint32{}
	for n, name := range packetNames {
		m[name] = n
	}
	return m
}()

// packetNumber returns the number of a packet's name, or of PACKET_n.
func packetNumber(name string) (uint32, bool) {
	if n, ok := packetNumbers[name]; ok {
		return n, true
	}
	if digits, ok := strings.CutPrefix(name, "PACKET_"); ok {
		n, err := strconv.ParseUint(digits, 10, 32)
		return uint32(n), err == nil
	}
	return 0, false
}

func packetName(n uint32) string {
	if name, ok := packetNames[n]; ok {
		return name
	}
	return fmt.Sprintf("PACKET_%d", n)
}

// frame encodes a request.
func frame(number uint32, data string) string {
	b := []byte(requestMagic)
	b = binary.BigEndian.AppendUint32(b, number)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return string(b) + data
}

// verbsOfConnection are the steps of a connection besides sending packets.
var verbsOfConnection = []string{"text", "raw", "begin", "flush", "part",
	"drained", "sync", "expect", "shut", "close", "reset", "work", "report", "toggle", "awake"}

func knownVerb(verb string) bool {
	_, packet := packetNumber(verb)
	return packet || slices.Contains(verbsOfConnection, verb)
}
