#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Host to host in transport mode, with no route that knows of it: what policy protects is redirected where it would leave.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools tcpdump ping jq nc

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	# GSO, and checksums left to the device, as a host's stack has them
	net_in $gw ethtool -K wan0 tx on tso on gso on > /dev/null
	tap_check "$gw starts" start_daemon $gw || tap_done
done


# both_ways ALGORITHMS BASE A B ANY: SAs and policies for all that A, which is gw1, and B say to each other
both_ways() {
	local algs=$1 base=$2 a=$3 b=$4 n
	for n in 1 2; do
		pair_state $a $b $((base + n)) "$algs" reqid $((base)) mode transport replay-window 64
		echo "$n src $a dst $b tmpl src $5 dst $5 proto ${algs%% *} reqid $((base)) mode transport"
		read -r b a <<< "$a $b"
	done
}
set_both() {
	pair_flush && {
		both_ways "$1" 0x1000 192.0.2.1 192.0.2.2 0.0.0.0
		both_ways "$1" 0x2000 2001:db8::1 2001:db8::2 ::
	} | pair_load
}
# what is neither protected nor of the link itself
in_clear() {
	pcap_count "$1" "not (proto 50 or proto 51 or ip6 proto 50 or ip6 proto 51 or $XI_LINK_FILTER)"
}

for name in GCM CBC AH; do
	tap_check "$name: SAs and policies" set_both "${!name}"
	XI_SNAPLEN=96 capture_start wan br
	for family in 4 6; do
		a=192.0.2.1 b=192.0.2.2
		[ $family = 4 ] || a=2001:db8::1 b=2001:db8::2
		tap_check "$name, IPv$family: ping" pings gw1 $b 20
		tap_check "$name, IPv$family: ping the other way" pings gw2 $a 20 -s 1400
		tap_check "$name, IPv$family: TCP" tcp_to gw1 gw2 $b
		serve_udp udp gw2 7001 $b
		send_udp gw1 $b 7001 "by $name IPv$family"
		tap_check "$name, IPv$family: UDP" wait_for 5 grep -q "by $name" "$XI_TMP/udp.log"
		kill "${xi_pids["bg udp"]}"
	done
	tap_check "$name: TCP the other way" tcp_to gw2 gw1 192.0.2.1
	capture_stop wan br
	tap_is "$name: packets in clear on the wire" "$(in_clear "$XI_TMP/wan-br.pcap")" 0
	tap_is "$name: drops" "$(drops gw1) $(drops gw2)" "0 0"
done
gwctl gw1 xipsec stats
tap_done
