# Sourced by scripts that install packages of Debian. It defines:
#
#   as_root COMMAND...  runs a command as root
#   no_daemons          keeps packages from starting their daemons until the script ends. Debian starts them when it
#                       installs them, and a job server on the standard port would serve whoever connects. A policy
#                       file forbids it, unless the machine has one of its own.

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

no_daemons() {
	policy=/usr/sbin/policy-rc.d
	[ ! -e "$policy" ] || return 0
	trap 'as_root rm -f "$policy"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}
