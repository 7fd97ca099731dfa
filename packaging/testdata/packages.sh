#!/bin/sh
# Installs, uses, upgrades, removes and purges the packages in a machine that was booted for it (deb_linux_test.go).
# /test has the packages: old and new of each.
set -eu

step=begin
step() {
	step=$1
	echo "== $1"
}
die() {
	echo "FAILED: $step: $*"
	systemctl status --no-pager -l gearloop.service gearloop-gearmand.service 2>&1 || true
	journalctl --no-pager -n 30 2>&1 || true
	exit 1
}
trap '[ $? -eq 0 ] || die "a command failed"' EXIT
is() { # WHAT WANT GOT
	[ "$2" = "$3" ] || die "$1 is '$3', want '$2'"
}
has() { # TEXT PART
	case $1 in *"$2"*) ;; *) die "'$2' is not in: $1" ;; esac
}
unit() { systemctl show -P "$2" "$1"; }
owner() { stat -c %U:%G:%a "$1"; }
until_is() { # WHAT WANT COMMAND...
	what=$1 want=$2
	shift 2
	n=0
	until [ "$("$@" 2>/dev/null)" = "$want" ]; do
		n=$((n + 1))
		[ $n -lt 300 ] || die "$what is '$("$@" 2>&1)', want '$want'"
		sleep 0.1
	done
}
in_journal() { journalctl --no-pager -u gearloop | grep -q "$1" && echo yes; }
waiting() { gearloop status --no-headers --json | sed -n 's/.*"waiting":\([0-9]*\).*/\1/p' | head -1; }
gone() { [ ! -e "$1" ] || die "$1 is left"; }
export DEBIAN_FRONTEND=noninteractive
conf=/etc/gearloop/gearloop.conf

rm -f /var/lib/man-db/auto-update # indexing all pages after each package takes long
# What this machine may have installed for other tests is not part of this one.
for package in gearman-job-server gearman-server; do
	if dpkg -s $package >/dev/null 2>&1; then dpkg --purge --force-depends $package >/dev/null 2>&1; fi
done

step "install"
dpkg -i /test/old/gearloop_*.deb
is "the service" active "$(systemctl is-active gearloop)"
is "the service at boot" enabled "$(systemctl is-enabled gearloop)"
is "the socket at boot" disabled "$(systemctl is-enabled gearloop.socket 2>&1)"
is "the state" gearloop:gearloop:700 "$(owner /var/lib/gearloop)"
is "the logs" gearloop:gearloop:750 "$(owner /var/log/gearloop)"
is "the admin socket" gearloop:gearloop:660 "$(owner /run/gearloop/admin.sock)"
is "its user" gearloop "$(ps -o user= -p "$(unit gearloop MainPID)")"
has "$(unit gearloop StatusText)" "0 waiting, 0 running"
is "its limit of descriptors" 1048576 "$(unit gearloop LimitNOFILE)"
systemd-analyze security --no-pager --threshold=20 gearloop.service >/dev/null || die "it is exposed"
gearloop health --ready >/dev/null
gearloop config check $conf >/dev/null
if man -w gearloop-serve >/dev/null 2>&1; then man gearloop-serve >/dev/null; fi

step "jobs"
is "a foreground job" olleh "$(printf hello | (gearloop work --jobs 1 reverse -- rev & gearloop submit reverse; wait))"
echo keep | gearloop submit -b later >/dev/null
is "waiting jobs" 1 "$(waiting)"
ls -l /var/lib/gearloop | grep -q . || die "nothing is stored"

step "reload"
systemctl reload gearloop
until_is "the service" active systemctl is-active gearloop
until_is "SIGHUP in the journal" yes in_journal SIGHUP

step "log rotation"
echo 'log-file = /var/log/gearloop/gearloop.log' >>$conf
echo 'max-packet = 10M' >>$conf
systemctl restart gearloop
logrotate -f /etc/logrotate.d/gearloop
until_is "the new log" gearloop:gearloop stat -c %U:%G /var/log/gearloop/gearloop.log
[ -e /var/log/gearloop/gearloop.log.1 ] || die "the log was not moved"
until_is "the service" active systemctl is-active gearloop # it may be reloading

step "crash"
pid=$(unit gearloop MainPID)
kill -KILL "$pid"
another() { [ "$(unit gearloop MainPID)" = "$pid" ] || systemctl is-active gearloop; }
until_is "the service after the crash" active another # the service manager may not have noticed yet
until_is "waiting jobs" 1 waiting

step "watchdog"
pid=$(unit gearloop MainPID)
mkdir -p /run/systemd/system/gearloop.service.d
printf '[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n' >/run/systemd/system/gearloop.service.d/test.conf
systemctl daemon-reload
systemctl restart gearloop
pid=$(unit gearloop MainPID)
sleep 5
is "the process" "$pid" "$(unit gearloop MainPID)"
kill -STOP "$pid"
until_is "the service after the watchdog" active another
until_is "the watchdog's part in it" yes in_journal "Watchdog timeout"
rm -r /run/systemd/system/gearloop.service.d
systemctl daemon-reload
systemctl reset-failed gearloop
until_is "the service" active systemctl is-active gearloop

step "upgrade"
cp $conf /test/before
pid=$(unit gearloop MainPID)
dpkg -i /test/new/gearloop_*.deb
is "the service" active "$(systemctl is-active gearloop)"
cmp $conf /test/before || die "the configuration was changed"
[ "$(unit gearloop MainPID)" != "$pid" ] || die "it was not restarted"
is "waiting jobs" 1 "$(waiting)"

step "rollback"
dpkg -i /test/old/gearloop_*.deb
is "the service" active "$(systemctl is-active gearloop)"
is "waiting jobs" 1 "$(waiting)"

step "a mistake in the configuration"
cp $conf /test/before
echo 'prot = 1' >>$conf
is "the pause between starts" 1s "$(unit gearloop RestartUSec)"
is "the time for five starts" 10s "$(unit gearloop StartLimitIntervalUSec)"
# On a slow machine five starts take longer than that.
mkdir -p /run/systemd/system/gearloop.service.d
printf '[Unit]\nStartLimitIntervalSec=120\n' >/run/systemd/system/gearloop.service.d/test.conf
systemctl daemon-reload
systemctl reset-failed gearloop # earlier starts do not count
if systemctl restart gearloop 2>/dev/null; then die "it starts with a mistake"; fi
until_is "the service" failed systemctl is-failed gearloop # after a few tries: a crash has the same exit status
until_is "the mistake in the journal" yes in_journal 'unknown option "prot" (did you mean port?)'
cp /test/before $conf
rm -r /run/systemd/system/gearloop.service.d
systemctl daemon-reload
systemctl reset-failed gearloop
systemctl start gearloop

step "socket activation"
sed -i 's/^listen = .*/listen = fd:gearman/' $conf
systemctl stop gearloop
systemctl enable --now gearloop.socket 2>/dev/null
is "the service" inactive "$(systemctl is-active gearloop)"
gearloop submit -s 127.0.0.1:4730 -b later </dev/null >/dev/null # starts it
until_is "the service" active systemctl is-active gearloop
until_is "waiting jobs" 2 waiting
systemctl restart gearloop &
submit() { gearloop submit -s "[::1]:4730" -b "$1" </dev/null 2>&1 >/dev/null; }
for n in 1 2 3 4 5 6 7 8 9 10; do
	# The old server may close an accepted connection from which it has read nothing. That is tried again.
	if ! said=$(submit "later$n"); then
		case $said in *"connection refused"*) die "a connection was refused during a restart" ;; esac
		submit "later$n" || die "a job was refused twice during a restart, first: $said"
	fi
done
wait
is "the service" active "$(systemctl is-active gearloop)"
systemctl disable --now gearloop.socket 2>/dev/null
sed -i 's/^listen = .*/listen = localhost/' $conf
systemctl restart gearloop

step "remove"
dpkg -r gearloop
is "the service" inactive "$(systemctl is-active gearloop)"
[ -e $conf ] || die "the configuration is gone"
[ -d /var/lib/gearloop ] || die "the jobs are gone"
gone /usr/bin/gearloop
step "install again"
dpkg -i /test/old/gearloop_*.deb
cmp $conf /test/before >/dev/null || diff $conf /test/before || die "the configuration was changed"
is "the service" active "$(systemctl is-active gearloop)"
until_is "waiting jobs" 2 waiting

step "switched off stays off"
systemctl disable --now gearloop 2>/dev/null
dpkg -i /test/new/gearloop_*.deb
is "the service" inactive "$(systemctl is-active gearloop)"
is "the service at boot" disabled "$(systemctl is-enabled gearloop)"
systemctl enable --now gearloop 2>/dev/null

step "purge"
dpkg -P gearloop
gone $conf
gone /etc/gearloop
gone /var/lib/gearloop
gone /var/log/gearloop
gone /etc/systemd/system/multi-user.target.wants/gearloop.service
if getent passwd gearloop; then die "the user is left"; fi

step "in place of gearman-job-server"
# As Debian's package leaves it when it is removed.
printf '# old\nPARAMS="--listen=localhost \\\n --daemon \\\n --log-file=/var/log/gearman-job-server/gearmand.log"\n' >/etc/default/gearman-job-server
dpkg -i /test/old/gearloop_*.deb /test/old/gearloop-gearmand_*.deb
is "gearloop.service" inactive "$(systemctl is-active gearloop)"
is "gearloop.service at boot" disabled "$(systemctl is-enabled gearloop)"
is "the service" active "$(systemctl is-active gearloop-gearmand)"
is "the service under the name of Debian's" active "$(systemctl is-active gearman-job-server)"
has "$(gearmand --version)" "gearmand 1.1.20"
has "$(cat /etc/default/gearloop-gearmand)" "--log-file=/var/log/gearloop/gearmand.log"
is "the log" gearloop:gearloop "$(stat -c %U:%G /var/log/gearloop/gearmand.log)"
is "the pid file" "$(unit gearloop-gearmand MainPID)" "$(cat /run/gearman/gearmand.pid)"
is "a foreground job" olleh "$(printf hello | (gearloop work --jobs 1 reverse -- rev & gearloop submit reverse; wait))"
logrotate -f /etc/logrotate.d/gearloop
until_is "the new log" gearloop:gearloop stat -c %U:%G /var/log/gearloop/gearmand.log
systemctl restart gearman-job-server
is "the service" active "$(systemctl is-active gearloop-gearmand)"
dpkg -i /test/new/gearloop_*.deb /test/new/gearloop-gearmand_*.deb
is "the service" active "$(systemctl is-active gearloop-gearmand)"
is "gearloop.service" inactive "$(systemctl is-active gearloop)"
dpkg -P gearloop-gearmand gearloop
gone /etc/default/gearloop-gearmand
gone /etc/systemd/system/gearman-job-server.service
gone /usr/sbin/gearmand

step "done"
