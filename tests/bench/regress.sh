#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Is what a gateway carries still what the baseline says? make bench-check, make bench-baseline.
#
#   tests/bench/regress.sh [--write] BASELINE.json DIR [OPTION of run.sh...]
#
# Measures the set check into DIR and compares. A comparison that fails is repeated once, with twice the
# rounds, and only then is a failure. --write makes the baseline instead. Status: that of compare.py; 3
# when there is no result.
set -u
cd "$(dirname "$0")/../.." || exit 3
RUN=${XI_BENCH_RUN:-tests/bench/run.sh} COMPARE=tests/bench/compare.py
write=()
[ "${1:-}" != --write ] || { write=(--write); shift; }
[ $# -ge 2 ] || { sed -n '5p' "$0" >&2; exit 3; }
baseline=$1 dir=$2
shift 2

# A goal that is not met ends run.sh with 1: what is asked here is whether it got worse.
measure() {
	"$RUN" -p check -o "$dir" "$@"
	[ $? -le 1 ] || exit 3
}

[ ${#write[@]} != 0 ] || [ -e "$baseline" ] || {
	echo "$baseline: not there; make bench-baseline makes it"
	exit 2
}
measure "$@"
$COMPARE "${write[@]}" "$baseline" "$dir/bench.json"
rc=$?
[ $rc = 1 ] || exit $rc
rounds=$(jq '[.ratios[].rounds] | max * 2' "$dir/bench.json")
echo "once more, with $rounds rounds"
measure "$@" -r "$rounds"
$COMPARE "$baseline" "$dir/bench.json"
