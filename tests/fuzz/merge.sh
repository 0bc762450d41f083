#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
#   merge.sh [BUILD]    the corpora in the tree anew, from themselves and what `make fuzz` found: as few inputs as reach
#                       the same code, at most 110 and 50 KB a target. Files with a name of their own stay.
set -eu
cd "$(dirname "$0")/../.."
B=${1:-build}
FILES=110 BYTES=50000

# what has got a hash for a name came from the fuzzer
found() {
	find "$1" -type f -printf '%f\n' | grep -E '^[0-9a-f]{40}$' || :
}

for f in "$B"/tests/fuzz/fuzz_*; do
	[ -x "$f" ] && [ -f "$f" ] || continue
	name=${f##*/fuzz_}
	tree=tests/fuzz/corpus/$name
	work=$(mktemp -d)
	mkdir -p "$work/named" "$work/new" "$tree" "$B/corpus/$name"
	find "$tree" -type f -regextype egrep ! -regex '.*/[0-9a-f]{40}' -exec cp -t "$work/named" {} +
	cp -r "$work/named/." "$work/new"
	# 0: coverage alone, not how often a branch was taken
	"$f" -set_cover_merge=1 -use_counters=0 -max_len=4096 "$work/new" "$tree" "$B/corpus/$name" 2> "$work/log" ||
		{ tail -n 5 "$work/log"; exit 1; }
	found "$tree" | sed "s|^|$tree/|" | xargs -r rm -f
	# the smallest first, as long as there is room
	n=$(find "$work/named" -type f | wc -l)
	bytes=$(find "$work/named" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }')
	while read -r size input; do
		n=$((n + 1)) bytes=$((bytes + size))
		[ $n -le $FILES ] && [ $bytes -le $BYTES ] || break
		cp "$work/new/$input" "$tree/"
	done < <(found "$work/new" | while read -r i; do echo "$(stat -c %s "$work/new/$i") $i"; done | sort -n)
	echo "$name: $(find "$tree" -type f | wc -l) files, $(du -sb --apparent-size "$tree" | cut -f1) bytes"
	rm -rf "$work"
done
