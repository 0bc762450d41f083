#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Rekeying under traffic, of child SAs every few seconds and of the IKE SA: no datagram is lost, none arrives twice.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump
RATE=500

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
# %n: gw1 rekeys 3, gw2 rekeys 4 every three seconds; either, or both at one time
connections() {
	ike_load_pair <<- END
		three { rand_time = 0s
		        rekey_time = 3s
		        life_time = 300s }
		connections {
		  rekey : wan, psk {
		    local { id = rekey%n }
		    remote { id = rekey%p }
		    children {
		      net : nets, by%n { }
		      net6 : nets6, three { } } } }
		by1 : three { }
		by2 { }
	END
}
tap_check "connections" connections || tap_done
tap_check "tunnels are up" ike_up gw1 net || tap_done
tap_check "IPv6 in the same IKE SA" ike_up gw1 net6

# spis GW CHILD: inbound ones of now
spis() { ike_sas "$1" | jq -r --arg child "$2" '.[].children[] | select(.name == $child)["spi-in"]'; }
# rekeyed N PATTERN: charon of gw1 or gw2 did it at least N times
rekeyed() { [ "$(cat "$XI_TMP"/gw?.charon | grep -c "$2")" -ge "$1" ]; }
CHILD='outbound CHILD_SA .* established'
tap_check "numbered datagrams go both ways, IPv4 and IPv6" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2 h1:fd00:1::2=h2:fd00:2::2
XI_SNAPLEN=80 capture_start wan br
first=$(spis gw1 net)
tap_check "both children are rekeyed, several times" wait_for 40 rekeyed 20 "$CHILD"
swan gw1 --rekey --ike rekey > "$XI_TMP/rekey-ike"
tap_check "the IKE SA is rekeyed" wait_for 10 rekeyed 2 'IKE_SA rekey\[.*rekeyed between'
tap_check "children are rekeyed under the new one" wait_for 20 rekeyed 26 "$CHILD"
# both ends at one time: they meet, and one gives way
both() {
	swan gw1 --rekey --child net > "$XI_TMP/both-1" &
	local pid=$!
	swan gw2 --rekey --child net > "$XI_TMP/both-2"
	wait $pid
	wait_for 10 ike_is gw1 1 '.name == "net" and .state == "INSTALLED"'
}
tap_check "both rekey the same child at one time" both
tap_check "and again" both
tap_check "every datagram arrived, once" flow_end flow
capture_stop wan br > "$XI_TMP/capture"
tap_comment "$(tail -n 4 "$XI_TMP/flow.log")"
tap_check "the SAs are others than at first" sh -c '[ "$1" ] && [ "$2" ] && [ "$1" != "$2" ]' sh "$first" "$(spis gw1 net)"
tap_check "all of it was ESP" only_esp "$XI_TMP/wan-br.pcap"
tap_done
