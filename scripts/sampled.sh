#!/bin/sh
# Prints a pattern for go test -run: the tests of the packages $@ that do less with the race detector, by sample.Of or
# sample.Only. If a helper or a variable of a package uses these, the pattern has all tests of that package.
set -eu

all=
for dir; do
	names=$(awk '
		FNR == 1 { name = "all" }
		/^func Test/ { name = $2; sub(/\(.*/, "", name) }
		/^(func|var|const|type) / && !/^func Test/ || /^func TestMain/ { name = "all" }
		/sample\.(Of|Only)/ { print name }' "$dir"/*_test.go)
	case " $(echo $names) " in
	*" all "*) names=$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go) ;;
	esac
	all="$all $names"
done
[ -n "$(echo $all)" ] || exit 1
printf '%s\n' $all | sort -u | paste -sd '|' | sed 's/.*/^(&)$/'
