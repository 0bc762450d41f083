#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# The benchmark's generator and sinks, one device apart: frames arrive whole, in number and length.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool jq tcpdump
. tests/lib/netns.sh
gen=$XI_BUILD/tests/bench/gen
[ -x "$gen" ] || tap_skip_all "$gen is not built; make bench builds it"

# gen_run SIZE SINK: the sink's numbers as packets > 0, bytes a packet
gen_run() {
	rm -f "$XI_TMP/send.json"
	tests/bench/frames.py --out "$XI_TMP/f.pcap" --eth-src 02:00:00:00:00:01 \
		--eth-dst 02:00:00:00:00:02 --src 10.1.1.2 --dst 10.1.2.2 --size "$1" --count 48 || return
	net_in left taskset -c 0 "$gen" send va "$XI_TMP/f.pcap" 3 > "$XI_TMP/send.json" &
	# the generator may take its time to start: the sink's first second is not always one with packets
	for ((try = 0; try < 8; try++)); do
		net_in right "$gen" sink vb 0.3 "$2" "$XI_TMP/samples.pcap" > "$XI_TMP/sink.json"
		[ "$(jq .packets "$XI_TMP/sink.json")" -le 1000 ] || break
	done
	wait $!
	jq -c '[.packets > 1000, (.bytes / ([.packets, 1] | max) | round)]' "$XI_TMP/sink.json"
	tap_comment "$1 bytes to $2: sent $(jq .mpps "$XI_TMP/send.json") Mpps," \
		"arrived $(jq .mpps "$XI_TMP/sink.json") Mpps" >&2
}

net_add left right
net_veth left va right vb 1600
tap_is "64 bytes to a sink in XDP" "$(gen_run 64 xdp)" "[true,78]"
tap_is "1408 bytes to a sink in tc" "$(gen_run 1408 tc)" "[true,1422]"
tap_is "IMIX has a mean of (7 * 64 + 4 * 576 + 1500) / 12 bytes" "$(gen_run imix xdp)" "[true,368]"

# judge CASE: does the benchmark's check take the last run for one of that case?
judge() {
	jq -c --arg case "$1" --arg frames "$XI_TMP/f.pcap" --arg samples "$XI_TMP/samples.pcap" \
		'{case: $case, size: "imix", round: 1, frames: $frames, samples: $samples} + .' \
		"$XI_TMP/sink.json" > "$XI_TMP/runs.jsonl"
	tests/bench/check.py --spi-out 1 --key-out 00112233445566778899aabbccddeeff00112233 \
		--spi-in 2 --key-in 00112233445566778899aabbccddeeff00112233 "$XI_TMP/runs.jsonl" 2> /dev/null
	echo $?
}
tap_is "samples are frames that were sent" "$(judge forward)" 0
tap_is "cleartext is not taken for ESP" "$(judge encrypt)" 1
sed -i 's/"bytes": \([0-9]*\)/"bytes": 1\1/' "$XI_TMP/sink.json"
tap_is "a wrong mean length is noticed" "$(judge forward)" 1

net_in right timeout 10 tcpdump -n -c 48 --immediate-mode -Z root -i vb -w "$XI_TMP/got.pcap" udp 2> "$XI_TMP/log" &
dump=$!
wait_for 5 grep -q listening "$XI_TMP/log"
net_in left "$gen" send va "$XI_TMP/f.pcap" 0.02 > /dev/null
wait $dump
tap_is "frames arrive with their bytes" \
	"$(tcpdump -n -x -t -r "$XI_TMP/got.pcap" 2> /dev/null | sort | uniq | md5sum)" \
	"$(tcpdump -n -x -t -r "$XI_TMP/f.pcap" 2> /dev/null | sort | uniq | md5sum)"
out=$(net_in left "$gen" send nothere "$XI_TMP/f.pcap" 1 2>&1)
tap_is "a wrong device is named" "$? $out" "1 gen: nothere: no such device in this network namespace"
tap_done
