#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Trap policies: the first packets make charon negotiate (ACQUIRE), from either side, by several children at one time;
# nothing leaves in clear meanwhile, nor where negotiation fails.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump

net_up || tap_skip_all "cannot make network namespaces"
# charon sets xfrm_acq_expires to the time that these take: as long nothing is asked again
ike_gateways "retransmit_timeout = 0.5" "retransmit_base = 1.1" "retransmit_tries = 3"
connections() {
	ike_load_pair <<- END
		connections {
		  traps : wan, psk {
		    local { id = traps%n }
		    remote { id = traps%p }
		    children {
		      net : nets { start_action = trap }
		      net6 : nets6 { start_action = trap }
		      host { mode = transport
		             local_ts = dynamic[icmp]
		             remote_ts = dynamic[icmp]
		             esp_proposals = aes128-sha256
		             start_action = trap } } } }
	END
}
tap_check "connections" connections || tap_done
tap_is "policies stand, without an SA" "$(gwip gw1 ip xfrm policy list dir out | grep -c '^src'), $(gwip gw1 ip xfrm state list | grep -c '^src')" "3, 0"
capture_start wan br

# trapped CHILD FROM TO: a ping makes the tunnel; the first packets wait for it
trapped() {
	net_in "$2" ping -q -c 20 -i 0.01 -W 10 "$3" | grep ' 0% packet loss' && ike_is gw1 1 ".name == \"$1\"" &&
		carries "$1" 10 "$2" "$3"
}
tap_check "a ping from h1: a tunnel, and no packet is lost" trapped net h1 10.1.2.2
tap_check "IPv6: another child" trapped net6 h1 fd00:2::2
tap_check "the gateway itself: transport mode" trapped host gw1 192.0.2.2
tap_check "it is taken down" ike_down gw1 traps
gone() { [ "$(ike_children gw2 true)" = 0 ] && sas_are gw1 0 && sas_are gw2 0; }
tap_check "at both ends" wait_for 10 gone
tap_check "the other side: a ping from h2" trapped net h2 10.1.1.2
tap_check "it is taken down" ike_down gw2 traps
tap_check "at both ends" wait_for 10 gone

# of all children at one time
together() {
	local i
	net_bg a h1 ping -q -c 20 -i 0.01 -W 10 10.1.2.2
	net_bg b h2 ping -q -c 20 -i 0.01 -W 10 fd00:1::2
	net_bg c gw2 ping -q -c 20 -i 0.01 -W 10 192.0.2.1
	for i in a b c; do
		wait "${xi_pids["bg $i"]}"
		unset 'xi_pids["bg '$i'"]'
		grep ' 0% packet loss' "$XI_TMP/$i.log" || { cat "$XI_TMP/$i.log"; return 1; }
	done
}
tap_check "pings from both sides at one time: no packet is lost" together
for child in net net6 host; do
	tap_check "$child stands" wait_for 5 ike_is gw1 1 ".name == \"$child\" and .state == \"INSTALLED\""
done

# a peer that does not answer
tap_check "it is taken down" ike_down gw1 traps
tap_check "at both ends" wait_for 10 gone
ike_kill gw2
no_ping() { net_in h1 ping -q -c 20 -i 0.01 -W 1 10.1.2.2 | grep '100% packet loss'; }
tap_check "no peer: no ping" no_ping
given_up() { ike_sas gw1 | jq -e 'length == 0'; }
tap_check "charon gives up" wait_for 15 given_up
tap_check "a peer again" ike_start gw2
tap_check "its connections" connections
tap_check "and the trap works as before" wait_for 15 trapped net h1 10.1.2.2
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_done
