#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demonstration behind `make demo`: two gateways, two hosts, an ESP tunnel, and what the wire shows.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/demo.sh
demo_begin demo log

demo_up

say "xipsecd in each gateway; SAs and policies come from a file of ip -batch lines"
for gw in gw1 gw2; do
	{ tunnel_lines $gw 4 4 flag esn replay-window 128; tunnel_lines $gw 4 6 flag esn replay-window 128; } > "$XI_TMP/$gw.sas"
	conf=$(gw_conf $gw)
	sed -i "/^\[daemon\]/a sas = $XI_TMP/$gw.sas\nstate-dir = $XI_TMP/state-$gw" "$conf"
	mkdir -p "$XI_TMP/state-$gw"
	start_daemon $gw "$conf" || fail "xipsecd in $gw"
done
head -n 3 "$XI_TMP/gw1.sas" | cut -c1-150

say "traffic: ping over IPv4 and IPv6, then TCP"
XI_SNAPLEN=96 capture_start wan br || fail "capture"
run h1 ping -c 5 -i 0.02 -W 2 10.1.2.2 || fail "ping"
run h1 ping -q -c 200 -i 0.002 -W 2 10.1.2.2 || fail "ping"
run h1 ping -q -c 100 -i 0.005 -W 2 fd00:2::2 || fail "ping over IPv6"
net_bg iperf h2 iperf3 -s -1
wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :5201 | grep -q .' || fail "iperf3 server"
run h1 iperf3 -c 10.1.2.2 -n 200M -f m | grep -E 'sender|receiver' || fail "TCP"
capture_stop wan br > /dev/null || echo "(the capture could not keep up with TCP; what it has is looked at)"

say "what the wire carried"
only_esp "$XI_TMP/wan-br.pcap" || fail "cleartext on the wire"
pcap_list "$XI_TMP/wan-br.pcap" esp | head -n 4
echo "... $(pcap_count "$XI_TMP/wan-br.pcap" esp) ESP packets, nothing in clear but ARP and neighbour discovery"

say "xipsec show, on gw1"
gwctl gw1 xipsec show || fail "xipsec show"
say "xipsec xfrm state, on gw1: iproute2's own tool, grammar and output"
gwctl gw1 xipsec xfrm state get src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001
say "done; everything is being taken down"
