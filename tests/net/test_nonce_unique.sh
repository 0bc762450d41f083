#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 1: no (key, IV) pair is ever used twice: not after eviction, kill -9, or restart.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping python3
XI_SNAPLEN=96

net_up || tap_skip_all "cannot make network namespaces"
mkdir -p "$XI_TMP/state"
tunnel_lines gw1 4 4 > "$XI_TMP/gw1.sas"
start_gw1() {
	local conf
	conf=$(gw_conf gw1 '[cache]' 'sa-entries = 1')
	sed -i "/^\[daemon\]/a sas = $XI_TMP/gw1.sas\nstate-dir = $XI_TMP/state" "$conf"
	start_daemon gw1 "$conf"
}
tap_check "gw1 starts with SAs from a file" start_gw1 || tap_done
start_daemon gw2 || tap_done
tunnel_lines gw2 4 4 | load_lines gw2
capture_start wan br
traffic() {
	net_in h1 ping -q -c 200 -i 0.002 -W 1 10.1.2.2 | grep -q ' 0% packet loss'
}
burst() {
	net_in h1 ping -q -f -c 400 -W 1 10.1.2.2
	return 0
}
on_wire() {
	pcap_count "$XI_TMP/wan-br.pcap" esp
}
more_on_wire() {
	[ "$(on_wire)" -ge "$1" ]
}
killed_in_flight() {
	local before
	before=$(on_wire)
	net_bg flood h1 ping -q -i 0.001 -c 1500 -W 1 10.1.2.2
	wait_for 10 more_on_wire $((before + 200)) || return 1
	kill_daemon gw1 && start_gw1
}
tap_check "traffic" traffic
for i in 1 2 3; do
	tap_check "kill -9 under traffic and start again ($i)" killed_in_flight
	tap_check "traffic goes on ($i)" wait_for 10 net_in h1 ping -q -c 1 -W 1 10.1.2.2
done
tap_check "traffic after the last restart" traffic
tap_check "clean stop" stop_daemon gw1
rm -rf "${XI_BPFFS:?}/gw1"/*
lost() {
	local out
	out=$(nsenter --net="/run/netns/$XI_NS-gw1" -- timeout 10 "$XI_BUILD/xipsecd" -c "$XI_TMP/gw1.conf" 2>&1)
	echo "$out"
	grep -q 'run `xipsec down`, then start again' <<< "$out"
}
tap_check "with programs on the ports and their maps gone it does not start" lost
for dev in wan0 lan0; do
	net_in gw1 ip link set dev $dev xdp off
done
tap_check "start as after a reboot: the maps are gone, the file of SAs is there" start_gw1
tap_check "traffic after that" wait_for 10 net_in h1 ping -q -c 1 -W 1 10.1.2.2
burst
capture_stop wan br
ivs() {
	pcap_list "$XI_TMP/wan-br.pcap" -x 'src host 192.0.2.1 and esp' | python3 -S -c '
import re, sys
pkts, cur = [], None
for line in sys.stdin:
    if not line.startswith("\t"):
        cur = []
        pkts.append(cur)
    else:
        cur.append(re.sub(r"[^0-9a-f]", "", line.split(":", 1)[1]))
ivs = ["".join(p)[2*20:2*36] for p in pkts]      # SPI, sequence number, IV behind a 20-byte header
pairs = [(v[:8], v[16:]) for v in ivs if len(v) == 32]
dup = len(pairs) - len(set(pairs))
print(len(pairs), "packets,", dup, "IVs used twice")
sys.exit(dup != 0 or len(pairs) < 1000)'
}
tap_check "every IV on the wire is there once" ivs
tap_done
