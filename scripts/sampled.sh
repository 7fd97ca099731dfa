#!/bin/sh
# Prints, as a pattern for go test -run, the tests of the packages $@ that do only a sample with the race detector
# (test/sample): those that say so themselves, and all tests of a package in which something else does.
set -eu

for dir; do
	names=$(awk '
		FNR == 1 { name = "" }
		/^func Test/ { name = $2; sub(/\(.*/, "", name) }
		/^(func|var|const|type) / && !/^func Test/ { name = "" }
		/sample\.(Of|Only)/ { print name == "" ? "all" : name }' "$dir"/*_test.go)
	case " $(echo $names) " in
	*" all "*) sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go ;;
	*) printf '%s\n' "$names" ;;
	esac
done | sort -u | paste -sd '|' | sed 's/.*/^(&)$/'
