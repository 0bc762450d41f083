#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# Several workers, and ports whose numbers of queues differ: no packet is lost, sent twice or left over.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools jq ethtool
XI_QUEUES=4

net_up || tap_skip_all "cannot make network namespaces"
# LAN WAN TX: receive queues of the gateways' ports, and transmit queues of each
queues() {
	local n
	for n in 1 2; do
		net_in gw$n ethtool -L lan0 rx "$1" tx "$3" && net_in gw$n ethtool -L wan0 rx "$2" tx "$3" &&
			net_in h$n ethtool -L lan0 tx "$1" && net_in wan ethtool -L w$n tx "$2" || return 1
	done
}
stat_of() {
	gwctl "$1" xipsec stats -j | jq -r "$2"
}
workers() {
	grep -c . <<< "$(ps -T -o comm= -p "$(daemon_pid "$1")" | grep '^xipsec-')"
}
# LAN WAN TX WORKERS: numbers of queues, and workers to expect
run() {
	local gw bad=
	queues "$1" "$2" "$3" || return 1
	for gw in gw1 gw2; do
		start_daemon $gw || return 1
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush || return 1
		tunnel_lines $gw 4 4 flag esn replay-window 1024 | load_lines $gw || return 1
		[ "$(workers $gw)" = "$4" ] || return 1
	done
	net_bg rx h2 tests/net/flows.py receive 10.1.2.2 64 100 "$XI_TMP/seen"
	wait_for 5 grep -q ready "$XI_TMP/rx.log" || return 1
	net_in h1 ping -q -c 2 -W 1 10.1.2.2 > /dev/null
	net_in h1 tests/net/flows.py send 10.1.2.2 64 100 "$XI_TMP/seen" || return 1
	wait_for 15 grep -q lost "$XI_TMP/rx.log"
	cat "$XI_TMP/rx.log"
	for gw in gw1 gw2; do
		gwctl $gw xipsec stats
		[ "$(stat_of $gw .drops)" = 0 ] || bad=1
		stop_daemon $gw && gwctl $gw xipsec down || return 1
	done
	[ -z "$bad" ] && grep -q '^lost 0 twice 0 ' "$XI_TMP/rx.log"
}
tap_check "4 queues everywhere" run 4 4 4 4
tap_check "4 queues on the plain port, 1 on the cipher port" run 4 1 4 4
tap_check "1 queue on the plain port, 4 on the cipher port" run 1 4 4 4
tap_check "2 and 3 queues" run 2 3 3 3
tap_check "4 receive queues, 1 transmit queue" run 4 4 1 4
tap_done
