#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Dead peer detection: a peer vanishes, its SAs are cleared, and come again when it is back: at once (restart), or with
# the next packet (trap). What they protect does not leave in clear meanwhile.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways "retransmit_timeout = 0.5" "retransmit_base = 1.1" "retransmit_tries = 2" "retry_initiate_interval = 1"
# gw2 only answers, and keeps what it has until gw1 says that it starts anew
connections() {
	local n
	for n in 1 2; do
		ike_load gw$n $n $((3 - n)) <<- END || return 1
			connections {
			  restart : wan, psk {
			    dpd_delay = $((n == 1 ? 1 : 0))
			    keyingtries = 0
			    local { id = restart%n }
			    remote { id = restart%p }
			    children { net : nets { start_action = $([ $n = 1 ] && echo trap || echo none)
			                            dpd_action = restart } } }
			  trap : wan6, psk {
			    dpd_delay = $((n == 1 ? 1 : 0))
			    local { id = trap%n }
			    remote { id = trap%p }
			    children { net6 : nets6 { start_action = none
			                              dpd_action = trap } } } }
		END
	done
}
tap_check "connections" connections || tap_done
tap_check "a tunnel whose dpd_action is restart" ike_up gw1 net
tap_check "one whose dpd_action is trap" ike_up gw1 net6
tap_check "they carry" carries net 10 h1 10.1.2.2
tap_check "they carry" carries net6 10 h1 fd00:2::2
capture_start wan w1
spi() { ike_sas gw1 | jq -r --arg child "$1" '.[].children[] | select(.name == $child)["spi-in"]'; }
before=$(spi net)

tap_check "the peer vanishes" net_in wan ip link set w2 down
cleared() { ike_is gw1 0 '.state == "INSTALLED"' && [ "$(gwip gw1 ip xfrm state list | grep -c 'aead')" = 0 ]; }
tap_check "the SAs are cleared" wait_for 15 cleared
no_ping() { net_in h1 ping -q -c 5 -i 0.02 -W 0.5 "$1" | grep '100% packet loss'; }
tap_check "no ping by IPv4" no_ping 10.1.2.2
tap_check "no ping by IPv6" no_ping fd00:2::2
tap_is "the policies stand" "$(gwip gw1 ip xfrm policy list dir out | grep -c '^src')" 2

tap_check "the peer is back" net_in wan ip link set w2 up
tap_check "restart: the tunnel comes by itself" wait_for 20 ike_is gw1 1 '.name == "net" and .state == "INSTALLED"'
tap_check "another one" test "$(spi net)" != "$before"
tap_check "which carries" carries net 10 h1 10.1.2.2
pings6() { net_in h1 ping -q -c 5 -i 0.02 -W 2 fd00:2::2 | grep ' 0% packet loss'; }
tap_check "trap: it comes with a packet" wait_for 20 pings6
tap_check "and carries" carries net6 10 h1 fd00:2::2
# gw2 may have kept SAs that gw1 has not
tap_check "gw2 has one of each, too" wait_for 20 ike_is gw2 2 'true'
capture_stop wan w1 > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-w1.pcap"
tap_done
