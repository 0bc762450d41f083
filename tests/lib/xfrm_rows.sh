#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# xfrm_rows.sh FILE: in the place of all SAs and policies, those of FILE: a line "ROW WORDS" each, words for ip -batch.
# Prints "ROW why" for each row that is refused and not loaded whole.
#
# ip ends a batch at the first refusal and does not say where: rows go one by one only when all at once do not.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flush() {
	printf 'xfrm %s flush\n' policy state | ip -batch -
}

awk -v dir="$work" '{ row = $1; sub(/^[0-9]+ /, ""); print > (dir "/all"); print > (dir "/row" row) }' "$1"
flush && ip -batch "$work/all" 2> /dev/null && exit 0
flush || exit 1
for f in "$work"/row*; do
	said=$(ip -batch "$f" 2>&1) || echo "${f##*/row} $(grep -v '^Command failed' <<< "$said" | tr '\n' ' ')"
done
