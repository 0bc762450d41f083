#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# kill -9, stop and start, and start of a newer binary under traffic: what is lost is lost in one hole, and nothing
# leaves in clear or is taken for a replay. XI_SAS (20000): SAs beside the two that carry the traffic.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump jq python3 bpftool
RATE=$((2000 / ${XIPSEC_SLOW:-1}))
LIMIT_MS=$((1000 * ${XIPSEC_SLOW:-1}))
XI_SAS=${XI_SAS:-20000}
XI_START_TIMEOUT=60

net_up || tap_skip_all "cannot make network namespaces"

# SAs of many peers, half of them inbound; @20 digits for the key
more_sas() {
	awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++) {
			here = "192.0.2.1"
			peer = sprintf("10.%d.%d.%d", 100 + int(i / 131072), int(i / 512) % 256, int(i / 2) % 256)
			printf "xfrm state add src %s dst %s proto esp spi 0x%x reqid %d mode tunnel replay-window 64 " \
				"aead rfc4106(gcm(aes)) 0x%040x 128\n", i % 2 ? peer : here, i % 2 ? here : peer,
				1048576 + i, 100000 + int(i / 2), i + 1
		}
	}'
}

size=2048
while [ $size -lt $((XI_SAS + 16)) ]; do
	size=$((size * 2))
done
conf=$(gw_conf gw1)
sed -i "/^\[daemon\]/a max-sas = $((size < 1048575 ? size : 1048575))" "$conf"
tap_check "gw1 starts" start_daemon gw1 "$conf" -v || tap_done
tap_check "gw2 starts" start_daemon gw2 || tap_done
for gw in gw1 gw2; do
	tunnel_lines $gw 4 4 replay-window 256 | load_lines $gw
done
install() {
	more_sas "$XI_SAS" | load_lines gw1
	[ "$(gwctl gw1 xipsec xfrm state count | awk '{ print $NF }')" = $((XI_SAS + 2)) ]
}
tap_check "$XI_SAS SAs more" install

running() {
	net_in h1 ping -q -c 1 -W 1 10.1.2.2
}
arriving() {
	[ "$(gwctl gw2 xipsec stats -j | jq '.reasons.fast_in + .reasons.slow_in')" -gt "$1" ]
}
come() {
	gwctl gw2 xipsec stats -j | jq '.reasons.fast_in + .reasons.slow_in'
}
start_traffic() {
	local n
	net_bg pace1 h1 tests/net/pace.py 10.1.2.2 $RATE
	net_bg pace2 h2 tests/net/pace.py 10.1.1.2 $RATE
	wait_for 10 grep -q ready "$XI_TMP/pace1.log" && wait_for 10 grep -q ready "$XI_TMP/pace2.log" || return 1
	n=$(come)
	wait_for 10 arriving $((n + RATE / 4))
}
stop_traffic() {
	local i
	for i in 1 2; do
		kill -TERM "${xi_pids["bg pace$i"]}"
		wait "${xi_pids["bg pace$i"]}" 2> /dev/null
		unset 'xi_pids["bg pace'$i'"]'
	done
}
# of both directions, for the log
report() {
	sed -n 's/.*starting took/starting took/p' "$XI_TMP/gw1.log" | tail -n 1
	tail -qn 1 "$XI_TMP/pace2.log" "$XI_TMP/pace1.log"
}
# what a restart may do to the traffic, and what not
one_hole() {
	local i
	for i in 1 2; do
		jq -es --argjson most $LIMIT_MS '.[-1] | .received > 500 and .twice == 0 and .holes <= 1 and .lost_ms < $most' \
			<(tail -n 1 "$XI_TMP/pace$i.log") || return 1
	done
}
under_traffic() {
	local n
	start_traffic || return 1
	"$@" || return 1
	n=$(come)
	wait_for 10 arriving $((n + RATE / 2)) || return 1
	stop_traffic
	tap_comment "$(report)" >&3
	one_hole || { report; return 1; }
}
no_replays() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec stats -j | jq -e '.reasons | .replay + .replay_old + .integrity == 0' || return 1
	done
}

ready() {
	grep -c '^ready: ' "$XI_TMP/gw1.log"
}
ready_again() {
	[ "$(ready)" -gt "$1" ]
}
# nothing is hot: as if all traffic were of other SAs than before
cool() {
	local map key
	for map in sa_cache flow_cache; do
		bpftool -j map dump pinned "$XI_BPFFS/gw1/$map" | jq -r '.[].key | join(" ")' | while read -r key; do
			# shellcheck disable=SC2086
			bpftool map delete pinned "$XI_BPFFS/gw1/$map" key $key
		done
	done
}
# again SIGNAL [PROGRAM]: as a service manager does it, with nothing between the end of the one and the start of the other
again() {
	local pid=${xi_pids["daemon gw1"]} before
	before=$(ready)
	kill "-$1" "$pid"
	wait "$pid" 2> /dev/null
	[ -z "${XI_COOL:-}" ] || cool
	nsenter --net="/run/netns/$XI_NS-gw1" -- "${2:-$XI_DAEMON}" -c "$conf" --run-dir "$XI_TMP/run-gw1" \
		--pin-dir "$XI_BPFFS/gw1" -v >> "$XI_TMP/gw1.log" 2>&1 &
	xi_pids["daemon gw1"]=$!
	wait_for "$XI_START_TIMEOUT" ready_again "$before"
}

exec 3>&1
capture_start wan br 'udp port 9000'
tap_check "kill -9 and start: one hole" under_traffic again KILL
cooled() {
	XI_COOL=1 under_traffic again KILL
}
tap_check "the same, of SAs that nobody used before: put aside, and not lost" cooled
tap_check "stop and start: one hole" under_traffic again TERM
cp "$XI_DAEMON" "$XI_TMP/xipsecd-newer"
tap_check "stop, and start of another binary: one hole" under_traffic again TERM "$XI_TMP/xipsecd-newer"
capture_stop wan br
tap_is "packets in clear on the wire" "$(pcap_count "$XI_TMP/wan-br.pcap")" 0
tap_check "nothing was a replay to either" no_replays
no_sa() {
	gwctl gw1 xipsec stats -j | jq -e '.reasons | .no_sa + .sa_gone == 0'
}
tap_check "no packet was dropped for want of an SA" no_sa
tap_check "all SAs are there" test "$(gwctl gw1 xipsec xfrm state count | awk '{ print $NF }')" = $((XI_SAS + 2))
tap_done
