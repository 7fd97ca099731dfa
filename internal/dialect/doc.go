// Package dialect is the one table of everything in which the two Gearman servers that are in use
// differ on the wire: the Perl Gearman::Server and the C gearmand. A Dialect is one column of it.
//
// It is data only. The scheduler, the reactor and the text commands ask it; none of them knows
// which dialect they speak.
package dialect
