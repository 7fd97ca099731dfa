#!/bin/sh
# Refreshes the scripts of other projects that the dashboard ships, in web/static/vendor. They are pinned
# here, come from the npm registry as packed by their makers, and are never fetched by a build.
#
#   scripts/vendor-js.sh           fetches them anew
#   scripts/vendor-js.sh --check   only compares what is there with SHA256SUMS
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
vendor=$root/web/static/vendor
cd "$vendor"
if [ "${1:-}" = --check ]; then
	exec sha256sum --quiet --check SHA256SUMS
fi

htmx=4.0.1
uplot=1.6.32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# take PACKAGE VERSION copies files of a package: FROM=TO each.
take() {
	package=$1@$2
	shift 2
	archive=$(cd "$work" && npm pack --silent "$package")
	rm -rf "$work/package"
	tar -xzf "$work/$archive" -C "$work"
	for file; do
		cp "$work/package/${file%%=*}" "$vendor/${file#*=}"
		chmod 644 "$vendor/${file#*=}"
	done
}

take htmx.org "$htmx" dist/htmx.min.js=htmx.min.js LICENSE=htmx.LICENSE
take uplot "$uplot" dist/uPlot.iife.min.js=uPlot.iife.min.js dist/uPlot.min.css=uPlot.min.css LICENSE=uPlot.LICENSE
printf 'htmx.org %s\nuplot %s\n' "$htmx" "$uplot" >VERSIONS
sha256sum htmx.min.js htmx.LICENSE uPlot.iife.min.js uPlot.min.css uPlot.LICENSE VERSIONS >SHA256SUMS
