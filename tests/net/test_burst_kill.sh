#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2086
# timeout: 240
# A daemon that ends under full load, in the middle of burst transmit calls: it is gone at once, leaves neither packet
# memory nor devices behind, and the next one goes on by burst with sequence numbers above all that were seen.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq bpftool

ROUNDS=${FLOOD_ROUNDS:-$((${XIPSEC_SLOW:-1} > 1 ? 3 : 10))}

# packet_maps: ids of the maps with packets in them that the daemon holds
packet_maps() {
	local ids
	ids=$(sed -n 's/^map_id:[[:space:]]*//p' "/proc/$(daemon_pid gw1)/fdinfo"/* 2> /dev/null | sort -u | jq -s -c .)
	bpftool -j map list | jq -c --argjson ids "$ids" '.[] | select(.name == "frames" or .name == "tx_ring") |
		select(.id as $id | $ids | index($id)) | .id'
}

maps_gone() {
	local id
	for id; do
		! bpftool map show id "$id" || return 1
	done
}

devices() {
	net_in gw1 ip -o link | wc -l
}

# counters DEV: what must not go back
counters() {
	net_in gw1 ip -j -s link show dev wan0 | jq -c '.[0].stats64 | [.tx.packets, .tx.bytes, .rx.packets]'
}

sane() {
	echo "before $1, after $2"
	jq -n -e --argjson a "$1" --argjson b "$2" '[$b[0] >= $a[0], $b[1] >= $a[1], $b[2] >= $a[2],
		$b[0] < 1e12, $b[1] < 1e15] | all'
}

# in_calls: the worker makes burst calls right now
in_calls() {
	local before
	before=$(reason burst_call)
	wait_for 20 eval '[ "$(reason burst_call)" -gt '"$((before + 50))"' ]'
}

# killed SIGNAL: sent, and gone within a second
killed() {
	local pid start us
	pid=$(daemon_pid gw1)
	start=${EPOCHREALTIME/[.,]/}
	kill "-$1" "$pid"
	wait_for 1 process_gone "$pid" || { echo "still there after a second"; return 1; }
	us=$((${EPOCHREALTIME/[.,]/} - start))
	wait "$pid" 2> /dev/null
	unset 'xi_pids["daemon gw1"]'
	[ $us -le "$slowest" ] || slowest=$us
}

seq_highest() {
	jq '.sa[0].highest' "$XI_TMP/load.json"
}

flood_up
tap_check "SAs" flood_sas 4 4
tap_check "first packets" flood_warm 4 4
here=$(devices) slowest=0
tap_check "a flood that does not end" flood_bg load encrypt 4 4 --seconds 300 $FLOOD_SPOIL
for ((round = 1; round <= ROUNDS; round++)); do
	signal=KILL
	[ $((round % 3)) != 0 ] || signal=TERM
	[ "$FLOOD_TX" != burst ] || tap_check "$round: burst calls are being made" in_calls
	mapfile -t maps < <(packet_maps)
	tap_check "$round: packet memory can be told" [ ${#maps[@]} -ge 1 ]
	before=$(counters)
	tap_check "$round: SIG$signal, and the daemon is gone within a second" killed $signal || break
	tap_check "$round: its packet memory is gone" wait_for 10 maps_gone "${maps[@]}"
	highest=$(seq_highest)
	tap_check "$round: a new daemon adopts what is there" start_daemon gw1 "$XI_TMP/gw1.conf" || break
	tap_check "$round: traffic flows again" flood_moves load 2000 20
	tap_check "$round: with sequence numbers above all before" [ "$(seq_highest)" -gt "$highest" ]
	tap_check "$round: device counters go on" sane "$before" "$(counters)"
	tap_is "$round: there are as many devices as at first" "$(devices)" "$here"
done
[ "$FLOOD_TX" != burst ] || tap_check "the last daemon sends by burst" wait_for 25 burst_is_on wan0
tap_check "the flood ends" flood_end load
tap_check "every packet of it was right, none came twice or after a later one" flood_is "$FLOOD_EXACT" load
tap_comment "slowest end: $slowest us; $(jq -c . "$XI_TMP/load.json")"
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_check "xipsec down takes everything away" gwctl gw1 xipsec down
tap_is "no device of the daemon is left" "$(net_in gw1 ip -o link | grep -cv ' lo: \| lan0@\| wan0@')" 0
tap_done
