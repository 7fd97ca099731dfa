// Package rounds puts the same load on several servers in turn, several times, and compares the results.
//
// Machines get faster and slower during a measurement. So servers are compared in short rounds close
// together: in each round every server has its turn, in reverse order every other round.
package rounds
