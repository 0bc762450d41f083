#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Ports change while the daemon runs: another MAC, down and up, deleted and made again. Nothing that policy protects
# leaves in clear meanwhile, and traffic flows again afterwards.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
	tunnel_lines $gw 4 4 flag esn replay-window 64 | load_lines $gw
done
flows() {
	wait_for 10 net_in h1 ping -q -c 1 -W 1 10.1.2.2 > /dev/null || return 1
	net_in h1 ping -q -c 20 -i 0.01 -W 1 10.1.2.2 | grep ' 0% packet loss'
}
restarted() {
	grep -q "port $1: the device is gone" "$XI_TMP/gw1.log"
}
new_mac() {
	net_in gw1 ip link set dev "$1" address "$2" || return 1
	net_in h1 ip neigh flush all
	net_in gw2 ip neigh flush all
	flows
}
down_up() {
	net_in gw1 ip link set dev lan0 down && net_in gw1 ip link set dev lan0 up && flows
}
# a host that sends all the while
send() {
	net_bg sender h1 ping -q -i 0.005 -W 1 10.1.2.2
}
wan_again() {
	net_in gw1 ip link del wan0 && wait_for 5 restarted wan0 || return 1
	net_gw 1 && flows
}
lan_again() {
	net_in gw1 ip link del lan0 && wait_for 5 restarted lan0 || return 1
	net_host 1 && flows
}
host_again() {
	net_in gw1 ip link del xipsec0 && wait_for 5 restarted xipsec0-p || return 1
	wait_for 5 net_in gw1 ip link show xipsec0 && flows
}
tap_check "traffic flows" flows
capture_start wan br
tap_check "plain port with another MAC" new_mac lan0 02:00:00:00:11:11
tap_check "cipher port with another MAC" new_mac wan0 02:00:00:00:22:22
tap_check "plain port down and up" down_up
send
tap_check "cipher port deleted and made again" wan_again
tap_check "xipsec0 deleted" host_again
kill "${xi_pids["bg sender"]}"
tap_check "plain port deleted and made again" lan_again
capture_stop wan br
tap_check "only ESP was on the wire" only_esp "$XI_TMP/wan-br.pcap"
tap_check "gateway 1 stops cleanly" stop_daemon gw1
tap_done
