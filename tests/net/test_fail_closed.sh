#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 2: what policy says to protect never leaves in clear and is never accepted in clear: not on a miss, not while
# the daemon is dead, not while it starts.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping jq

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
	tunnel_lines $gw 4 4 | load_lines $gw
done
# an attacker on the wire who answers for h2 and sends h1 cleartext as if from h2
net_in wan ip addr add 10.1.2.2/32 dev lo
net_in wan ip addr add 10.1.2.77/32 dev lo
net_in wan ip route add 10.1.1.0/24 via 192.0.2.1

pings() {
	net_in h1 ping -q -c 20 -i 0.005 -W 1 10.1.2.2 | grep -q "$1"
}
reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}
spoof() {
	net_in wan ping -q -c 20 -i 0.005 -W 1 -I "${1:-10.1.2.2}" 10.1.1.2 > /dev/null
	return 0
}
clear_to_h1() {
	pcap_count "$XI_TMP/h1-lan0.pcap" 'icmp[0] = 8 and src net 10.1.2.0/24'
}
clear_on_wire() {
	pcap_count "$XI_TMP/wan-br.pcap" 'src net 10.1.1.0/24 and dst net 10.1.2.0/24'
}

capture_start wan br
capture_start h1 lan0 icmp
tap_check "with both daemons alive the tunnel carries traffic" pings ' 0% packet loss'
spoof
tap_check "cleartext that should have been protected is dropped and counted" \
	test "$(($(reason gw1 clear_in) + $(reason gw1 worker_clear_in)))" -ge 20

net_bg flood h1 ping -q -i 0.001 -c 3000 -W 1 10.1.2.2
tap_check "kill -9 under traffic" kill_daemon gw1
tap_check "while the daemon is dead, nothing comes back" pings '100% packet loss'
spoof
# no verdict on this address is in any cache, and there is nobody to ask
spoof 10.1.2.77
kill "${xi_pids["bg flood"]}"
tap_check "start again" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_check "what had no verdict was dropped for want of a worker" test "$(reason gw1 no_worker)" -ge 20
tap_check "traffic goes on" pings ' 0% packet loss'

tap_check "SAs flushed, policy stays" gwctl gw1 xipsec xfrm state flush
tap_check "without an SA nothing passes" pings '100% packet loss'
tap_check "which is counted" test "$(reason gw1 no_sa)" -ge 20

net_in gw1 ip addr add 10.1.1.77/32 dev lo
host_leak() {
	net_in gw1 ping -q -c 5 -i 0.005 -W 1 -I 10.1.1.77 10.1.2.2 > /dev/null
	return 0
}
host_leak
tap_check "the host's own packets, routed past xipsec0, go to the workers instead" test "$(reason gw1 to_xipsec0)" -ge 5
tap_check "and no further without an SA" test "$(reason gw1 no_sa)" -ge 25

# a rule that FIB look-ups by address alone do not see: a route to xipsec0 means IPsec or nothing
net_in gw1 ip route add default dev xipsec0 table 100
net_in gw1 ip rule add from 10.1.1.77 lookup 100
tap_check "policies flushed" gwctl gw1 xipsec xfrm policy flush
discarded=$(reason gw1 worker_discard)
net_in gw1 ping -q -c 20 -i 0.005 -W 1 -I 10.1.1.77 10.1.2.2 > /dev/null
tap_check "what a route led to xipsec0 is dropped when no policy protects it" \
	test "$(reason gw1 worker_discard)" -ge $((discarded + 20))

capture_stop wan br
capture_stop h1 lan0
tap_is "packets in clear on the wire, over the whole run" "$(clear_on_wire)" 0
tap_is "packets in clear accepted, over the whole run" "$(clear_to_h1)" 0
tap_done
