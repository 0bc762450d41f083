#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# Ports with several queues: a worker a queue, or one for all. One SA is carried by all workers at once: each sequence number
# is used once, each packet accepted once, none is lost, doubled or, within its flow, overtaken. By AF_XDP alone: where a port
# turns to burst, the bridge between the gateways may take another queue (test_burst_multi_worker, test_uneven_queues).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
XI_QUEUES=4
XI_SNAPLEN=96
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip ethtool ping tcpdump jq bpftool

net_up || tap_skip_all "cannot make network namespaces"
bpftool prog loadall "$XI_BUILD/tests/net/spread.bpf.o" "$XI_BPFFS/spread" ||
	tap_skip_all "$XI_BUILD/tests/net/spread.bpf.o is not built; make tests builds it"
FLOWS=64
PER=50

# flows FROM TO ADDRESS WANTED
flows() {
	net_bg "rx-$2" "$2" tests/net/flows.py receive "$3" $FLOWS $PER "$XI_TMP/seen"
	wait_for 5 grep -q ready "$XI_TMP/rx-$2.log" || return 1
	net_in "$1" tests/net/flows.py send "$3" $FLOWS $PER "$XI_TMP/seen" || return 1
	wait_for 10 grep lost "$XI_TMP/rx-$2.log"
	cat "$XI_TMP/rx-$2.log"
	grep -q "^$4" "$XI_TMP/rx-$2.log"
}
both_ways() {
	flows h1 h2 10.1.2.2 "$1" && flows h2 h1 10.1.1.2 "$1"
}
# Neighbouring ESP packets of one SA come in by different queues: what a card that does not look at flows may do.
spread_esp() {
	local dev
	for dev in w1 w2; do
		net_in wan tc qdisc replace dev $dev clsact &&
			net_in wan tc filter add dev $dev egress bpf da pinned "$XI_BPFFS/spread/spread_$1" || return 1
	done
}

declare -A number=([slow_in]=64 [slow_out]=65 [fast_in]=66 [fast_out]=67)
# busy GW REASON: which workers counted at least a packet of each of some flows
busy() {
	bpftool -j map dump pinned "$XI_BPFFS/$1/worker_stats" |
		jq -c "[.[] | select(.formatted.value.counts[${number[fast_$2]}] +
			.formatted.value.counts[${number[slow_$2]}] >= $PER) | .formatted.key]"
}
# dropped_none GW: or why
dropped_none() {
	gwctl "$1" xipsec stats -j | jq -ce 'if .drops == 0 then true else .reasons | with_entries(select(.value > 0)) | tostring, false end'
}
# sequence numbers of gw N's SA on the wire: how many packets, how many different IVs
ivs() {
	pcap_list "$XI_TMP/wan-br.pcap" -x "esp and src host 192.0.2.$1" | /usr/bin/python3 -S -c '
import re, sys
packets = []
for line in sys.stdin:
    if not line.startswith("\t"):
        packets.append("")
    else:
        packets[-1] += re.sub(r"[^0-9a-f]", "", line.split(":", 1)[1])
ivs = {p[56:72] for p in packets}             # behind 20 bytes of IPv4, SPI and sequence number
print(len(packets), len(ivs), int(max(ivs), 16))'
}

# case QUEUES WORKERS EXPECTED-WORKERS
case_of() {
	local queues=$1 workers=$2 all=$3 name="$1 queues, workers = $2" gw conf n
	local end
	for end in "h1 lan0" "gw1 lan0" "gw1 wan0" "wan w1" "wan w2" "gw2 wan0" "gw2 lan0" "h2 lan0"; do
		# shellcheck disable=SC2086
		net_in ${end% *} ethtool -L ${end#* } rx "$queues" tx "$queues" 2> /dev/null
	done
	for gw in gw1 gw2; do
		conf=$(gw_conf $gw)
		sed -i -e "/^\[daemon\]/a workers = $workers" -e "/^role/a tx = xsk" "$conf"
		start_daemon $gw "$conf" || { tap_not_ok "$name: daemon of $gw starts"; return; }
		tunnel_lines $gw 4 4 flag esn replay-window 4096 | load_lines $gw
	done
	# next hops known beforehand: a packet through the host's stack may be overtaken
	net_in h1 ping -q -c 3 -i 0.05 -W 1 10.1.2.2 > /dev/null
	tap_is "$name: so many workers run" "$(find "/proc/$(daemon_pid gw1)/task" -name comm -exec cat {} + | grep -c xipsec-)" \
		"$(jq length <<< "$all")"
	net_in wan tc qdisc del dev w1 clsact 2> /dev/null
	net_in wan tc qdisc del dev w2 clsact 2> /dev/null
	capture_start wan br esp
	tap_check "$name: $((2 * FLOWS)) flows, by queue of their own: no packet lost, doubled or overtaken" \
		both_ways 'lost 0 twice 0 overtaken 0'
	tap_check "$name: packets of one SA are spread over all queues" spread_esp "$queues"
	tap_check "$name: and arrive: none lost or doubled" both_ways 'lost 0 twice 0'
	wait_for 10 eval '[ "$(pcap_count "$XI_TMP/wan-br.pcap")" -ge $((4 * FLOWS * PER)) ]'
	capture_stop wan br
	for gw in gw1 gw2; do
		n=${gw#gw}
		tap_is "$name: $gw: workers that encrypted, and that decrypted" "$(busy $gw out) $(busy $gw in)" "$all $all"
		tap_check "$name: $gw: no packet was dropped" dropped_none $gw
		# numbers before the capture were the pings'
		set -- $(ivs "$n")
		tap_is "$name: $gw: every IV on the wire is there once, and none was left out" "$1 $2 $3" \
			"$((2 * FLOWS * PER)) $((2 * FLOWS * PER)) $((2 * FLOWS * PER + 3))"
	done
	for gw in gw1 gw2; do
		gwctl $gw xipsec down || tap_not_ok "$name: $gw is taken down"
		wait_for 5 process_gone "$(daemon_pid $gw)"
	done
}
case_of 4 auto '[0,1,2,3]'
case_of 4 2 '[0,1]'
case_of 2 auto '[0,1]'
case_of 2 1 '[0]'
tap_done
