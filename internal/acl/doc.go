// Package acl decides who may do what on the Gearman port: it parses the file of --acl and matches peers and
// functions. docs/acl.md is its manual.
//
// # The file
//
// A section selects peers and grants them rights:
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
// Three keys select peers: certificate (patterns for a name in a verified client certificate), user (names or
// numbers of users of a unix socket) and network (addresses and networks). A peer must match each key that
// the section has, by one of its values. Four keys grant rights, as patterns for names of functions: submit,
// work, look (see the function in answers to text commands) and admin (change it with them). A peer has the
// rights of all sections that it matches, and no others.
//
// # Reading and asking
//
//	List        the file in effect, which Reload replaces as a whole or not at all
//	Who, Peer   a connection and its rights (sched.Rights)
//
// A file with an unknown key or a section without effect is rejected. The error is the first mistake in it,
// as FILE:LINE: what is wrong and how to write it.
package acl
