#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 400
# Every fuzz target for 30 s, two at a time, from the corpora in the tree: `make fuzz` runs them longer.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
B=${B:-build}
SECONDS_EACH=${FUZZ_SECONDS:-30}
AT_ONCE=2

work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$work"' EXIT

targets=()
for f in "$B"/tests/fuzz/fuzz_*; do
	[ -f "$f" ] && [ -x "$f" ] && targets+=("${f##*/fuzz_}")
done
[ ${#targets[@]} -gt 0 ] || tap_skip_all "no fuzz target is built; make fuzz builds them"

# fuzz_one NAME: what it finds anew goes to the build directory, a finding beside the target
fuzz_one() {
	local name=$1 rc
	mkdir -p "$B/corpus/$name"
	timeout -k 5 $((SECONDS_EACH + 60)) "$B/tests/fuzz/fuzz_$name" -max_total_time="$SECONDS_EACH" -max_len=4096 \
		-artifact_prefix="$B/tests/fuzz/finding-$name-" -print_final_stats=1 "$B/corpus/$name" \
		"tests/fuzz/corpus/$name" > "$work/$name.log" 2>&1
	rc=$?
	echo "$rc" > "$work/$name.rc"
}

# It ended well, and it ran: a target that refuses every input at once would find nothing, either.
fuzz_ended() {
	local runs cov
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log")
	cov=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$work/$1.log")
	echo "status $(cat "$work/$1.rc"), ${runs:-no} runs, coverage ${cov:-unknown}"
	if [ "$(cat "$work/$1.rc")" = 0 ] && [ "${runs:-0}" -ge 500 ] && [ "${cov:-0}" -ge 50 ]; then
		return 0
	fi
	tail -n 30 "$work/$1.log"
	return 1
}

has_corpus() {
	[ -n "$(ls -A "tests/fuzz/corpus/$1")" ]
}

for name in "${targets[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge $AT_ONCE ]; do
		wait -n
	done
	fuzz_one "$name" &
done
wait
for name in "${targets[@]}"; do
	tap_check "fuzz_$name has a corpus in the tree" has_corpus "$name"
	tap_check "fuzz_$name: nothing found in $SECONDS_EACH s" fuzz_ended "$name"
done
tap_done
