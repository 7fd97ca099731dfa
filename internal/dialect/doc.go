// Package dialect is the one table of all differences on the wire between the two Gearman servers in use, the
// Perl Gearman::Server and the C gearmand. A Dialect is one column of the table.
//
// It is data only. The scheduler, the reactor and the text commands read its fields; none of them checks
// which dialect it has.
package dialect
