#!/bin/sh
# Installs what the tests need and the machine has not got: packages of Debian
# (or Ubuntu), and the npm packages in the package-lock.json of node_dirs below,
# each with the checksum that stands there. It does nothing, and is done at once, when everything is there.
#
#   scripts/test-deps.sh           installs what is missing
#   scripts/test-deps.sh --check   only tells, with code 1 when something is missing
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/no-daemons.sh
. "$root/scripts/no-daemons.sh"

node_dirs="test/clienttest/testdata/node test/browser/testdata/axe"
check_only=no
[ "${1:-}" = --check ] && check_only=yes

say() { printf 'test-deps: %s\n' "$*"; }
die() {
	printf 'test-deps: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# want PACKAGE CONDITION... notes a package unless the condition holds. The
# conditions look for what the tests use, so that it may come from elsewhere too.
missing=
want() {
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
exists() { [ -e "$1" ]; }
perl_module() { perl -M"$1" -e 1; }
php_extension() { php -r 'exit(extension_loaded("gearman") ? 0 : 1);'; }
header() {
	printf '#include <%s>\n' "$1" | gcc -E -x c - -o /dev/null
}

look() {
	missing=
	want gearman-server exists /usr/bin/gearmand
	want gearman-job-server exists /usr/sbin/gearmand
	want gearman-tools have gearadmin
	want libgearman-client-perl perl_module Gearman::Worker
	want php-cli have php
	want php-gearman php_extension
	want gcc have gcc
	want libc6-dev header stdio.h
	want pkg-config pkg-config --exists gearmand
	want libgearman-dev header libgearman/gearman.h
	want strace have strace
	want openssl have openssl
	want curl have curl
	want chromium have chromium
	want iproute2 have ip
	want nodejs have node
	want npm have npm
	want prometheus have promtool
	want lintian have lintian
	want systemd have systemd-analyze
	want tmux have tmux
	want bash-completion exists /usr/share/bash-completion/bash_completion
	want zsh have zsh
	want fish have fish
	want systemd-container have systemd-nspawn
	want man-db have man
	want logrotate exists /usr/sbin/logrotate
	want apparmor exists /sbin/apparmor_parser
	want postgresql exists /usr/lib/postgresql/*/bin/postgres
	want patroni have patroni
	want etcd-server have etcd
}

# The packages are there when the lock file that they were installed from is the
# one in the tree.
npm_ready() { cmp -s "$root/$1/package-lock.json" "$root/$1/node_modules/.installed-from"; }

install_packages() {
	have apt-get || die "needs these packages, and there is no apt-get to install them:$missing"
	[ "$(id -u)" -eq 0 ] || have sudo || die "needs root or sudo to install:$missing"
	say "installing:$missing"

	no_daemons
	as_root apt-get update -q || say "apt-get update failed; trying with the lists that are there"
	# One by one when all at once fails, to be able to name the one at fault.
	# shellcheck disable=SC2086
	if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; then
		failed=
		for package in $missing; do
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" ||
				failed="$failed $package"
		done
		[ -z "$failed" ] || die "apt-get cannot install:$failed"
	fi
	look
	[ -z "$missing" ] || die "installed, but still not usable:$missing"
}

install_npm_packages() {
	say "installing the npm packages of $1"
	(cd "$root/$1" && npm ci --ignore-scripts --no-audit --no-fund) ||
		die "npm cannot install the packages of $1/package-lock.json"
	cp "$root/$1/package-lock.json" "$root/$1/node_modules/.installed-from"
}

look
if [ "$check_only" = yes ]; then
	for dir in $node_dirs; do
		npm_ready "$dir" || missing="$missing npm-packages"
	done
	[ -z "$missing" ] || die "missing:$missing"
	exit 0
fi
[ -z "$missing" ] || install_packages
for dir in $node_dirs; do
	npm_ready "$dir" || install_npm_packages "$dir"
done
