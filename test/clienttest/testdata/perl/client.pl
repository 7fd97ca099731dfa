#!/usr/bin/perl
# A client on Gearman::Client: client.pl HOST:PORT[,HOST:PORT...] SCENARIO [ARG...]
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Gearman::Client;
use Storable qw(thaw);
use Time::HiRes qw(sleep);

$| = 1;
my $servers  = shift or die "no server\n";
my $scenario = shift or die "no scenario\n";

sub client { Gearman::Client->new(job_servers => [split /,/, $servers], @_) }

# say_result prints the result of do_task.
sub say_result {
    my ($name, $ref) = @_;
    print "$name ", defined $ref ? "result $$ref" : 'no result', "\n";
}

# plain returns the text of an exception: a Perl worker freezes it.
sub plain {
    my $text = shift;
    my $thawed = eval { thaw($text) };
    $text = $$thawed if ref $thawed;
    chomp $text;
    return $text;
}

# callbacks returns task options that print everything which happens to a task.
sub callbacks {
    my ($name, $out) = @_;
    my $print = sub { $out ? push(@$out, join(' ', $name, @_)) : print join(' ', $name, @_), "\n" };
    return (
        on_complete  => sub { $print->('complete', ${ $_[0] }) },
        on_fail      => sub { $print->('fail',     @_) },
        on_status    => sub { $print->('status',   "$_[0]/$_[1]") },
        on_retry     => sub { $print->('retry',    $_[0]) },
        on_data      => sub { $print->('data',     ${ $_[0] }) },
        on_warning   => sub { $print->('warning',  ${ $_[0] }) },
        on_exception => sub { $print->('exception', plain($_[0])) },
    );
}

# state returns what the server knows of a job, in one word.
sub state {
    my ($client, $handle) = @_;
    my $status = $client->get_status($handle) or return 'no answer';
    return 'unknown' unless $status->known;
    # Without a report one server sends nothing, the other two zeroes.
    my $progress = $status->progress;
    undef $progress if $progress && "@$progress" eq '0 0';
    return ($status->running ? 'running' : 'queued') . ($progress ? " @$progress" : '');
}

# becomes waits until a job's state is as wanted.
sub becomes {
    my ($client, $handle, $want) = @_;
    my $got;
    sleep 0.01 while ($got = state($client, $handle)) ne $want;
    print "state $got\n";
}

my %scenarios = (
    foreground => sub {
        my $client = client();
        say_result('echo',    $client->do_task('echo',    'hello'));
        say_result('reverse', $client->do_task('reverse', \'abc'));
        my $bytes = join '', map { chr($_ % 256) } 0 .. 99_999;
        my $result = $client->do_task(reverse => $bytes);
        print 'bytes ', ($$result eq reverse($bytes) ? 'intact' : 'damaged'), "\n";
        my $nuls = "a\0b\0\0";
        print 'nuls ', (${ $client->do_task(echo => $nuls) } eq $nuls ? 'intact' : 'damaged'), "\n";
    },

    # One job, its events and its result: one FUNC ARG [OPTION VALUE]...
    one => sub {
        my ($func, $arg, %options) = @_;
        my $exceptions = delete $options{exceptions};
        my $client = client($exceptions ? (exceptions => 1) : ());
        my %callbacks = callbacks($func);
        my $result = $client->do_task($func, $arg, { %callbacks, %options });
        print 'returned ', defined $result ? $$result : 'undef', "\n";
    },

    background => sub {
        my $gate   = shift;
        my $client = client();
        my $handle = $client->dispatch_background('progress', $gate);
        print 'handle ', ($handle =~ m{^\Q$servers\E//H:[^:]+:\d+$} ? 'good' : $handle), "\n";
        becomes($client, $handle, 'queued');
        becomes($client, $handle, 'running 3 7');
        becomes($client, $handle, 'unknown');
    },

    # Background jobs of the function note: dispatch ARG...
    dispatch => sub {
        my $client = client();
        for (@_) {
            $client->dispatch_background('note', $_) or die "not accepted\n";
        }
        print 'dispatched ', scalar @_, "\n";
    },

    taskset => sub {
        my $tasks = client()->new_task_set;
        my @events;
        $tasks->add_task(reverse => 'abc',  { callbacks('first',  \@events) });
        $tasks->add_task(steps   => 'x',    { callbacks('second', \@events) });
        $tasks->add_task(fail    => 'x',    { callbacks('third',  \@events) });
        $tasks->add_task(echo    => \'ref', { callbacks('fourth', \@events) });
        for my $n (1 .. 200) {
            $tasks->add_task(echo => "bulk $n",
                { on_complete => sub { push @events, 'wrong' unless ${ $_[0] } eq "bulk $n" } });
        }
        $tasks->wait;
        # The order within a task counts, that of different tasks does not.
        my %of = map { $_ => [] } qw(first second third fourth);
        push @{ $of{ (split / /)[0] } ||= [] }, $_ for @events;
        print map {"$_\n"} map { @{ $of{$_} } } sort keys %of;
    },

    # Queues all in this order, waits for a line on standard input, prints the
    # results: queue PRIORITY:ARG...
    queue => sub {
        my $tasks = client()->new_task_set;
        for (@_) {
            my ($priority, $arg) = split /:/;
            $tasks->add_task('note', $arg, { priority => $priority, callbacks($arg) });
        }
        print "queued\n";
        <STDIN>;
        $tasks->wait;
    },

    # The same in the background: queue_background PRIORITY:ARG...
    queue_background => sub {
        my $client = client();
        for (@_) {
            my ($priority, $arg) = split /:/;
            $client->dispatch_background('note', $arg, { priority => $priority }) or die "not accepted\n";
        }
        print "queued\n";
    },

    # Two task sets on two connections, tasks that are to become one job:
    # coalesce UNIQ ARG [ARG2]
    coalesce => sub {
        my ($uniq, @args) = @_;
        my @handles;
        my @sets = map { client()->new_task_set } 1, 2;
        for my $set (@sets) {
            push @handles, map { $set->add_task('note', $_, { uniq => $uniq, callbacks($_) }) } @args;
        }
        my %seen;
        print 'handles ', scalar(grep { !$seen{$_}++ } @handles), "\n";
        <STDIN>;
        $_->wait for @sets;
    },

    # A worker's time-out of half a second: slow GATE
    slow => sub {
        my $client = client();
        my $before = Time::HiRes::time();
        my $result = $client->do_task('hold', $_[0], { callbacks('hold') });
        my $took   = Time::HiRes::time() - $before;
        print 'returned ', defined $result ? $$result : 'undef', "\n";
        print 'took ', ($took >= 0.45 && $took < 50 ? 'half a second' : $took), "\n";
        <STDIN>;
        say_result('next', $client->do_task('echo', 'after'));
    },

    large => sub {
        my $size  = shift;
        my $block = join '', map { chr($_ * 7 % 251) } 0 .. 65_535;
        my $bytes = substr($block x (1 + $size / length $block), 0, $size);
        my $client = client();
        my $result = $client->do_task(echo => \$bytes);
        print 'echo ', ($result && $$result eq $bytes ? 'intact' : 'damaged'), "\n";
        $result = $client->do_task(digest => \$bytes);
        print 'digest ', ($result && $$result eq md5_hex($bytes) ? 'right' : 'wrong'), "\n";
    },

    prefix => sub {
        my ($host, $port) = split /:/, $servers;
        for my $prefix (undef, qw(red blue)) {
            my $client = Gearman::Client->new(
                job_servers => [{ host => $host, port => $port }],
                (defined $prefix ? (prefix => $prefix) : ()),
            );
            say_result($prefix || 'plain', $client->do_task(note => $prefix || 'plain'));
        }
    },

    # The text commands that Gearman::Client offers, on the connection of its jobs.
    introspection => sub {
        my $client = client();
        my $tasks  = $client->new_task_set;
        $tasks->add_task(note => 'x', { uniq => 'key', callbacks('note') });
        undef $tasks;    # gives the connection back
        my $note = $client->get_job_server_status->{$servers}{note};
        print "status queued $note->{queued} running $note->{running} capable $note->{capable}\n";
        my $job = $client->get_job_server_jobs->{$servers}{note};
        print "job key $job->{key} address $job->{address} listeners $job->{listeners}\n" if $job;
        my ($with) = grep { $_->{note} } values %{ $client->get_job_server_clients->{$servers} || {} };
        print "client key $with->{note}{key} address $with->{note}{address}\n" if $with;
    },
);

my $run = $scenarios{$scenario} or die "no scenario $scenario\n";
$run->(@ARGV);
