#!/bin/sh
# Builds the packages of Debian: gearloop and gearloop-gearmand.
#
#   scripts/deb.sh OUT PROGRAM [VERSION]
#
# OUT is the directory for them, PROGRAM the static binary that goes into gearloop, VERSION by default the program's.
# make deb calls it. It needs Go, for nfpm, and gzip. DEBFULLNAME and DEBEMAIL name the maintainer, as for Debian's own tools:
# whoever hands the packages on.
set -eu

mkdir -p "$1"
out=$(realpath "$1") program=$(realpath "$2")
cd "$(dirname "$0")/.."
VERSION=${3:-$("$program" version | cut -d' ' -f2)}
ARCH=$(${GO:-go} env GOARCH)
MAINTAINER="${DEBFULLNAME:-The Gearloop authors} <${DEBEMAIL:-gearloop@example.org}>"
# The time of the last commit: the same tree makes the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
STAGE=$(mktemp -d)
export VERSION ARCH MAINTAINER SOURCE_DATE_EPOCH STAGE
trap 'rm -rf "$STAGE"' EXIT

cp "$program" "$STAGE/gearloop"
for section in 1 8; do
	mkdir "$STAGE/man$section"
	for page in packaging/man/*."$section"; do
		gzip -9nc "$page" >"$STAGE/man$section/${page##*/}.gz"
	done
done
chmod -R u=rwX,go=rX "$STAGE"
gzip -9nc CHANGELOG.md >"$STAGE/CHANGELOG.md.gz"
mkdir "$STAGE/completions"
for shell in bash zsh fish; do
	"$program" completion "$shell" >"$STAGE/completions/$shell"
done

for package in gearloop gearloop-gearmand; do
	cat <<EOF | gzip -9nc >"$STAGE/$package.changelog.gz"
$package ($VERSION) unstable; urgency=medium

  * CHANGELOG.md.gz in this directory says what has changed.

 -- $MAINTAINER  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
	${GO:-go} tool -modfile=tools/nfpm/go.mod nfpm package --config "packaging/deb/$package.yaml" --packager deb --target "$out" >"$STAGE/log" || {
		cat "$STAGE/log" >&2
		exit 1
	}
done
ls "$out"/*"_${VERSION}_"*.deb
