// Package rounds puts the same load on several servers, in turn, several times, and compares what came of it.
//
// Machines get faster and slower while one measures. Servers are compared by rounds that are short and close
// together: in each round every server has its turn, and every other round the other way round.
package rounds
