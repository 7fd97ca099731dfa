#!/bin/sh
# Installs the servers that make bench-peers compares with and the machine has not got, from packages of Debian
# (or Ubuntu): C gearmand, Perl's Gearman::Server, beanstalkd, Redis and RabbitMQ. None of them is started: make bench-peers
# starts its own, on free ports of 127.0.0.1. (The NATS server is built from its Go module.)
set -eu
# shellcheck source=scripts/no-daemons.sh
. "$(dirname "$0")/no-daemons.sh"

missing=
want() {
	[ -e "$2" ] || missing="$missing $1"
}
want gearman-job-server /usr/sbin/gearmand
want gearman-server /usr/bin/gearmand
want beanstalkd /usr/bin/beanstalkd
want redis-server /usr/bin/redis-server
want rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || {
	echo "peers-deps: needs these packages, and there is no apt-get to install them:$missing" >&2
	exit 1
}

no_daemons
as_root apt-get update -q || echo "peers-deps: apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
# Debian would start them at the next boot.
if command -v systemctl >/dev/null; then
	for package in $missing; do
		as_root systemctl disable "$package" || echo "peers-deps: $package may start at the next boot: systemctl disable $package" >&2
	done
fi
