#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2086
# timeout: 400
# Two queues, two workers that burst side by side, each with a parking device of its own: an SA for each, and one SA for
# both. Every packet is exact, none is doubled, none overtakes another of its flow.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
XI_QUEUES=2
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq bpftool python3 taskset

# a veth puts frames into queue CPU modulo queues
parity=$(python3 -S -c 'import os; print(*[c % 2 for c in sorted(os.sched_getaffinity(0))[:2]])')
case $parity in
"0 1" | "1 0") ;;
*) tap_skip_all "needs two CPUs whose frames go to different queues" ;;
esac
SECONDS_EACH=${FLOOD_SECONDS:-4}
TX_BURST=73                # value in include/xipsec/reasons.h

# half_lines NET SPI: an SA of gw1 for that half of the far network
half_lines() {
	sa_lines 192.0.2.1 192.0.2.2 "$2" "$(sa_key $(($2)))"
	echo "xfrm policy add src 10.1.1.0/24 dst $1 dir out" \
		"tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $(($2)) mode tunnel"
}

two_sas() {
	gwctl gw1 xipsec xfrm state flush && gwctl gw1 xipsec xfrm policy flush &&
		{ half_lines 10.1.2.0/25 0x1001; half_lines 10.1.2.128/25 0x1003; } | load_lines gw1
}

# bursts: packets that each worker sent by burst
bursts() {
	bpftool -j map dump pinned "$XI_BPFFS/gw1/worker_stats" |
		jq -c "[.[] | {key: .formatted.key, n: .formatted.value.counts[$TX_BURST]}] | sort_by(.key) | [.[].n][:2]"
}

both_burst() {
	local now
	now=$(bursts)
	echo "before $1, now $now"
	jq -e -n --argjson a "$1" --argjson b "$now" '$b[0] - $a[0] >= 1000 and $b[1] - $a[1] >= 1000'
}

# both_exact EXPECTED [OPTION...]: up to three floods, until both workers burst: others make burst pause
both_exact() {
	local expected=$1 before try
	shift
	for try in 1 2 3; do
		before=$(bursts)
		flood_by_burst wan0 1000 "$expected and .checked >= 5000" encrypt 4 4 --park park1 --pin \
			--sizes 64-1400,1499,1500 --seconds "$SECONDS_EACH" "$@" || return 1
		[ "$FLOOD_TX" = burst ] || return 0
		! both_burst "$before" || return 0
	done
	return 1
}

# case_of NAME EXPECTED [OPTION...]
case_of() {
	tap_check "$1: both workers burst, bytes are exact, and nothing is doubled" both_exact "${@:2}"
	tap_comment "$(jq -c . "$XI_TMP/flood.json")"
}

flood_up "workers = auto"
net_in left ip link add park1 type veth peer name park1p
net_in left ip link set park1 up
tap_is "two workers run" "$(find "/proc/$(daemon_pid gw1)/task" -name comm -exec cat {} + | grep -c xipsec-)" 2
tap_check "two SAs" two_sas
second="0x1003,$(sa_key $((0x1003))),192.0.2.1,192.0.2.2"
for receiver in "" "$FLOOD_SPOIL"; do
	case_of "an SA each${receiver:+, receiver spoils}" "$FLOOD_EXACT" --flows 2 --dst 10.1.2.130 --in "$second" $receiver
done
tap_check "both SAs were used" flood_is '[.sa[] | .highest > 1000] == [true, true]'
tap_check "one SA" flood_sas 4 4
# two workers draw numbers of one SA: they may cross on the way, packets of a flow may not
shared='.wrong == 0 and .duplicates == 0 and .overtaken == 0 and .clear == 0'
for receiver in "" "$FLOOD_SPOIL"; do
	case_of "one SA for both${receiver:+, receiver spoils}" "$shared" --flows 2 $receiver
done
case_of "one SA for both, mixed load" "$shared" --flows 4 --mix
# AF_XDP sends into the queue of its socket, burst into that of the CPU: now they differ
mapfile -t cpus < <(python3 -S -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2], sep="\n")')
taskset -pc "${cpus[1]}" "$(worker_tid 0)" > /dev/null && taskset -pc "${cpus[0]}" "$(worker_tid 1)" > /dev/null
case_of "each on the other's CPU, mixed load" "$shared" --flows 4 --mix $FLOOD_SPOIL
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
