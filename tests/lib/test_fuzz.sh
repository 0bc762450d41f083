#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every fuzz target, for a moment: `make fuzz` runs them longer.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
B=${B:-build}

found=0
for f in "$B"/tests/fuzz/fuzz_*; do
	[ -x "$f" ] || continue
	found=1
	name=${f##*/fuzz_}
	mkdir -p "$B/corpus/$name" # what it finds; the first moments go to what is in the tree
	corpus=("$B/corpus/$name")
	[ -d "tests/fuzz/corpus/$name" ] && corpus+=("tests/fuzz/corpus/$name")
	tap_check "${f##*/}: nothing found in 5 s" "$f" -max_total_time=5 -max_len=4096 -artifact_prefix="$f-" \
		-print_final_stats=1 "${corpus[@]}"
done
[ $found = 1 ] || tap_skip_all "no fuzz target is built; make fuzz builds them"
tap_done
