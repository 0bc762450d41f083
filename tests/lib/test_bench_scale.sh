#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The judgements of the benchmark of many SAs, on made-up runs.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_tools jq

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# rate KIND N ORDER MPPS [HALF [ROUND]]: a run of 1 s at 64 bytes of which half is lost; HALF Mpps with half of the core.
# CORE: of it, had; OFFERED: Mpps; BURST: share of what was sent; HIT, FAST: shares
rate() {
	jq -nc --arg kind "$1" --argjson n "$2" --arg order "$3" --argjson got "$4" --argjson half "${5:-$4}" \
		--argjson round "${6:-1}" --argjson core "${CORE:-1}" --argjson most "${OFFERED:-null}" \
		--argjson burst "${BURST:-1}" --argjson hit "${HIT:-1}" --argjson fast "${FAST:-1}" \
		'($most // ($got * 2)) as $offered | def phase($got; $core): {seconds: 1, flood: {sent: ($offered * 1e6), got: ($got * 1e6)}, live: {sent: 0, got: 0},
			cpu: {worker: (0.75 * $core), control: (0.25 * $core)}};
		{section: "throughput", gateway: "g", $kind, size: 64, $n, $order, $round} + phase($got; $core) +
		{held: (phase($half; $core / 2) + {hold: 1}), total: (phase($got; $core) + {wrong: 0}),
		stats: (if $kind == "redirect" then null else {reasons: {sa_hit: (100 * $hit), sa_miss: (100 - 100 * $hit),
		fast_in: (100 * $fast), slow_in: (100 - 100 * $fast), tx_direct: 100, tx_burst: (100 * $burst)}} end)}'
}

# report: status of the report on the runs of stdin, and each goal: value and verdict
report() {
	cat > "$work/runs.jsonl"
	rm -f "$work/scale.json"
	tests/bench/scale.py --json "$work/scale.json" --svg "$work/scale.svg" "$work/runs.jsonl" > "$work/out" 2>&1 ||
		echo "status $?"
	jq -r '.[].goals[] | "\((.ratio // .value) * 100 | round) \(.verdict)"' "$work/scale.json"
}
judged=$({ rate fast 1 hot 4; rate fast 10000 hot 3.61; rate fast 10000 zipf 3.59; } | report)
tap_is "hot and Zipf are judged against one SA" "$judged" $'status 1\n90 met\n90 NOT MET'
judged=$({ rate fast 1 hot 4 2; rate fast 10000 zipf 4 1.9; } | report)
tap_is "the half core counts where it is the smaller ratio" "$judged" "95 met"
judged=$({ rate fast 1 hot 4 2; rate fast 10000 zipf 3 2; } | report)
tap_is "and the rate where that is" "$judged" $'status 1\n75 NOT MET'
judged=$({ rate fast 1 hot 4 2; rate fast 10000 zipf 3 2; rate redirect 10000 zipf 3.1; } | report)
tap_is "but not where generator and wire alone are no faster" "$judged" "100 met"
judged=$({ for round in 1 2 3; do rate fast 1 hot $round $round $round; done
	rate fast 10000 zipf 0.5 0.5 1; rate fast 10000 zipf 1.9 1.9 2; rate fast 10000 zipf 30 30 3; } | report)
tap_is "ratios are of one round, and the median of them is judged" "$judged" "95 met"
judged=$({ rate fast 1 hot 4; CORE=0.5 rate fast 10000 zipf 4; } | report)
tap_is "a gateway that had not its core is not judged" "$judged" \
	$'status 1\n100 not judged: Zipf 0.99 of 10k had its core for 50 % of the time'
judged=$({ rate fast 1 hot 4; BURST=0.5 rate fast 10000 zipf 4; } | report)
tap_is "nor one that did not send by burst" "$judged" \
	$'status 1\n100 not judged: Zipf 0.99 of 10k did not leave by burst transmit'
judged=$({ rate fast 1 hot 4; OFFERED=3 rate fast 10000 zipf 3 3; } | report)
tap_is "nor one that was faster than the generator, and yet not enough" "$judged" \
	$'status 1\n75 not judged: generator-limited: at least 0.75'
judged=$({ rate fast 1 hot 4; rate fast 10000 uniform 2; rate slow 10000 uniform 2.1; } | report)
tap_is "uniform traffic is judged against the slow method of as many SAs, and not against one SA" "$judged" \
	$'50 no demand\n95 met'
judged=$({ rate fast 1 hot 4; rate fast 10000 uniform 1.9; rate slow 10000 uniform 2.1; } | report)
tap_is "below which it must not be" "$judged" $'status 1\n48 no demand\n90 NOT MET'
HIT=0.75 FAST=0.6 rate fast 10000 zipf 3 1.5 | report > /dev/null
tap_is "a row of the table tells hits, slots and the control thread" \
	"$(awk '/Zipf/ { print $1, $3, $7, $9, $10, $11, $13, $14, $15, $16 }' "$work/out")" \
	"64 10k 3.000 50% 100% 333 75% 60% 40% 25%"
tap_check "the drawing is XML" python3 -c "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])" "$work/scale.svg"
rate fast 1 hot 4 | jq -c '.total.wrong = 1' > "$work/runs.jsonl"
out=$(tests/bench/scale.py --json "$work/wrong.json" --svg "$work/wrong.svg" "$work/runs.jsonl" 2>&1)
tap_is "wrong packets are no result" "$? $out $(ls "$work/wrong.json" 2> /dev/null)" \
	"3 scale: throughput: 1 of the samples are wrong "

# misses RATE SENT GOT: two seconds of them
misses() {
	jq -nc --argjson rate "$1" --argjson sent "$2" --argjson got "$3" \
		'{section: "misses", $rate, n: 1000, total: {seconds: 2, flood: {$sent, $got}, cpu: {worker: 1, control: 0.5},
		wrong: 0}, stats: {reasons: {sa_miss: $sent, miss_sent: 50}, after: {misses: {read: 44, latency: {sa: {p50_ns: 21500}}}}}}'
}
judged=$({ misses 1000 2000 2000; misses 3000 6000 6000; } | report)
tap_is "misses that lose nothing are good" "$judged" "0 met"
tap_is "each rate has a row, and what the daemon does not tell is left open" \
	"$(awk '$1 == 3000' "$work/out" | sed 's/  */ /g')" " 3000 3000 0 0 3000 25 0 0 22 0 21.5 - - 25%"
judged=$({ misses 1000 2000 2000; misses 3000 5000 5000; } | report)
tap_is "at a rate that was not reached it says nothing" "$judged" \
	$'status 1\n0 not judged: the generator sent only 83 % of a rate'
judged=$({ misses 1000 2000 2000; misses 3000 5000 4999; } | report)
tap_is "unless something is lost even so" "$judged" $'status 1\n100 NOT MET'
judged=$({ misses 1000 2000 2000; misses 3000 6000 5999; } | report)
tap_is "one packet lost is one too many" "$judged" $'status 1\n100 NOT MET'

# reconfig JOB SENT GOT
reconfig() {
	jq -nc --arg job "$1" --argjson sent "$2" --argjson got "$3" \
		'{section: "reconfig", $job, rate: 50, change: {n: 5, seconds: 0.1}, total: {seconds: 2, live: {$sent, $got},
		cpu: {control: 0.1}, wrong: 0}}'
}
judged=$({ reconfig add 100 100; reconfig delete 100 98; } | report)
tap_is "so is one of an SA that was not touched" "$judged" $'status 1\n200 NOT MET'

# flood KIND BESIDE OFFERED LIVE [CONTROL]: Mpps, share of live traffic that arrived. CORE: what the gateway had
flood() {
	jq -nc --arg kind "$1" --arg beside "$2" --argjson mpps "$3" --argjson live "$4" --argjson control "${5:-0.1}" \
		--argjson core "${CORE:-1}" '{section: "floods", gateway: "g", $kind, $beside, round: 1, rate: 1000, seconds: 1, flood: {sent: ($mpps * 1e6), got: 0},
		live: {sent: 1000, got: (1000 * $live)}, cpu: {worker: ($core - $control), $control}, stats: {reasons: {}},
		total: {seconds: 2, wrong: 0}}'
}
judged=$({ flood scan flood 2 0.81; flood scan worker 2 0.9; flood scan kernel 1 1; } | report)
tap_is "a flood may leave what plain forwarding of the same load does, less a tenth; the control thread has a bound" \
	"$judged" $'90 met\n10 met'
judged=$({ flood scan flood 2 0.8 0.3; flood scan worker 1.5 0.9; } | report)
tap_is "and no less, with no more" "$judged" $'status 1\n89 NOT MET\n30 NOT MET'
tap_is "a plain load that was smaller is told" "$(grep -c 'of 75 % of it: the demand is the stricter' "$work/out")" 1

judged=$({ CORE=0.5 flood scan flood 2 0.5; flood scan worker 2 0.9; } | report)
tap_is "a gateway that lost for want of its core is not judged" "$judged" \
	$'status 1\n56 not judged: g lost live traffic with 50 % of its core\n10 met'

policies() {
	jq -nc --argjson scan "$1" --argjson other "$2" '{section: "policies", result: {default: "a", goals: {a:
		{scan_points: $scan, other_points: $other}}, runs: [{trace: "loop", capacity: 64, policies: {optimum: {hit_ratio: 0.5}}}]}}'
}
tap_is "the daemon's own policy is judged against LRU" "$(policies 4 -0.5 | report)" $'400 met\n-50 met'
tap_is "on either kind of trace" "$(policies 0.5 -1.5 | report)" $'status 1\n50 NOT MET\n-150 NOT MET'
rate fast 1 hot 4 > "$work/runs.jsonl"
tests/bench/scale.py --json "$work/scale.json" --svg "$work/scale.svg" "$work/runs.jsonl" > /dev/null
tap_is "a section that was not run is kept as it was" "$(jq -c 'keys' "$work/scale.json")" '["policies","throughput"]'
tap_done
