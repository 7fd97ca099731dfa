package Patient;
# Gearman::Worker waits half a second for the answer to GRAB_JOB, then drops the connection and with it the job.
# Connecting, with the handshake of TLS, may take a second. On a busy machine both are too short.
use strict;
use warnings;
no warnings 'redefine';
use Gearman::Objects;
use Gearman::Util;

my ($wait, $socket) = (\&Gearman::Util::wait_for_readability, \&Gearman::Objects::socket);
*Gearman::Util::wait_for_readability = sub { $wait->($_[0], 60) };
*Gearman::Objects::socket            = sub { $socket->(@_[0, 1], 60) };

1;
