#!/usr/bin/perl
# A worker with the functions that doc.go lists, on Gearman::Worker.
#   worker.pl HOST:PORT[,HOST:PORT...] [--prefix P] [--id ID] [--jobs N] FUNC[@SECONDS]...
# It ends after N jobs, otherwise never. With --verbose it prints what its
# callbacks on_start, on_complete and on_fail are told.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Gearman::Worker;
use Getopt::Long;

$| = 1;
my ($prefix, $id, $jobs, $verbose);
GetOptions('prefix=s' => \$prefix, 'id=s' => \$id, 'jobs=i' => \$jobs, 'verbose' => \$verbose)
    or die "bad options\n";
my $servers = shift or die "no server\n";

my $worker = Gearman::Worker->new(
    job_servers => [split /,/, $servers],
    ($prefix ? (prefix    => $prefix) : ()),
    ($id     ? (client_id => $id)     : ()),
);

# slurp waits for the writer of a named pipe and reads until it closes it.
sub slurp {
    my $path = shift;
    open my $fh, '<', $path or die "cannot open $path: $!\n";
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}

my $failed = 0;
my %functions = (
    echo    => sub { $_[0]->arg },
    reverse => sub { scalar reverse $_[0]->arg },
    digest  => sub { md5_hex($_[0]->arg) },
    note    => sub { my $arg = $_[0]->arg; print "note $arg\n"; "noted $arg" },
    hold    => sub { slurp($_[0]->arg) },
    steps   => sub { $_[0]->set_status($_, 3) for 1 .. 3; 'stepped' },
    progress => sub { $_[0]->set_status(3, 7); slurp($_[0]->arg) },
    fail    => sub { undef },
    throw   => sub { die 'thrown ' . $_[0]->arg . "\n" },
    flaky   => sub { $failed++ < $_[0]->arg ? undef : 'worked' },
    chunks  => sub { $worker->send_work_data($_[0], $_) for qw(one two three); 'chunked' },
    careful => sub { $worker->send_work_warning($_[0], 'careful ' . $_[0]->arg); 'warned' },
    # Taken back and given anew while the worker runs.
    without => sub { $worker->unregister_function($_[0]->arg); 'gone' },
    nothing => sub { $worker->reset_abilities; 'forgotten' },
);

for (@ARGV) {
    my ($name, $seconds) = split /@/;
    my $code = $functions{$name} or die "no function $name\n";
    $worker->register_function($name, defined $seconds ? $seconds : (), $code)
        or die "cannot register $name\n";
}

my $done = 0;
my $said = sub {
    my $what = shift;
    return sub { shift; print join(' ', $what, map { defined $_ ? $_ : 'undef' } @_), "\n" if $verbose };
};
my ($completed, $gone_wrong) = ($said->('completed'), $said->('failed'));
$worker->work(
    on_start    => $said->('started'),
    on_complete => sub { $done++; $completed->(@_) },
    on_fail     => sub { $done++; chomp @_; $gone_wrong->(@_) },
    stop_if     => sub { $jobs && $done >= $jobs },
);
print "stopped\n";
