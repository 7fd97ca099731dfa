#!/bin/sh
# Installs the servers that make bench-peers compares with and the machine has not got, from packages of Debian
# (or Ubuntu): C gearmand, Perl's Gearman::Server, beanstalkd, Redis and RabbitMQ. None of them is started: make bench-peers
# starts its own, on free ports of 127.0.0.1. (The NATS server is built from its Go module.)
set -eu

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

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

command -v apt-get >/dev/null || {
	echo "peers-deps: needs these packages, and there is no apt-get to install them:$missing" >&2
	exit 1
}

# Debian starts the daemons of a package when it is installed, also at each boot. The policy file forbids the first, unless
# the machine has a policy of its own; units that this script brought are disabled afterwards.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'as_root rm -f "$policy"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
fi
as_root apt-get update -q || echo "peers-deps: apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
if command -v systemctl >/dev/null; then
	for package in $missing; do
		as_root systemctl disable "$package" || echo "peers-deps: $package may start at the next boot: systemctl disable $package" >&2
	done
fi
