// Package acl says who may do what on the Gearman port: it reads the file of --acl and matches peers and functions
// with it. docs/acl.md is its manual.
//
// # The file
//
// A section says of which peers it speaks and what these may do:
//
//	# The web servers submit jobs of two kinds.
//	[web servers]
//	network = 10.1.0.0/16, 2001:db8:1::/48
//	submit  = resize_*, mail
//
//	[image workers]
//	certificate = worker-*.images.example.com
//	work        = resize_*
//
// Three keys say who: certificate (patterns for a name in a verified client certificate), user (names or numbers of
// users of a unix socket) and network (addresses and networks). A peer has to match each key that the section
// has, by one of its values. Four keys say what, as patterns for names of functions: submit, work, look (see
// the function in answers to text commands) and admin (change it with them). A peer has the rights of all sections
// that it matches, and no others.
//
// # Reading and asking
//
//	Parse, Rules    one file, checked; it does not change
//	List            the file in force, which Reload replaces as a whole or not at all
//	Who, Peer       a connection and its rights (sched.Rights)
//
// Parse accepts no key that it does not know and no section that can have no effect. Its error is the first mistake
// of the file, as FILE:LINE: what is wrong and how to write it.
package acl
