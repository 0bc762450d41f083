#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Lifetimes of child SAs, in seconds, bytes and packets: soft ones rekey under traffic and lose nothing; hard ones take
# the SA away, and charon makes another by itself.
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
for n in 1 2; do
	net_addr h$n lan0 10.7.$n.2/24 10.8.$n.2/24
	net_addr gw$n lan0 10.7.$n.1/24 10.8.$n.1/24
	net_in gw$n ip route add 10.7.$((3 - n)).0/24 via 192.0.2.$((3 - n))
	net_in gw$n ip route add 10.8.$((3 - n)).0/24 via 192.0.2.$((3 - n))
done
ike_gateways
# the limits are gw1's; gw2 follows. A trap below each keeps its traffic out of the clear when there is no SA.
connections() {
	ike_load_pair <<- END
		connections {
		  lives : wan, psk {
		    local { id = lives%n }
		    remote { id = lives%p }
		    children {
		      soft-bytes : nets, soft-bytes%n { local_ts = 10.7.%n.0/24
		                                        remote_ts = 10.7.%p.0/24 }
		      soft-packets : nets, soft-packets%n { local_ts = 10.8.%n.0/24
		                                            remote_ts = 10.8.%p.0/24 }
		      hard : nets, $1%n { start_action = trap
		                          rand_time = 0s
		                          rekey_time = 0s } } } }
		soft-bytes1 { rekey_bytes = 60000
		              rand_bytes = 0
		              life_bytes = 10000000 }
		soft-packets1 { rekey_packets = 700
		                rand_packets = 0
		                life_packets = 100000 }
		seconds1 { life_time = 3s }
		bytes1 { rekey_bytes = 0
		         life_bytes = 40000 }
		packets1 { rekey_packets = 0
		           life_packets = 300 }
		soft-bytes2 { }
		soft-packets2 { }
		seconds2 { }
		bytes2 { }
		packets2 { }
	END
}
# logged N PATTERN: by charon of gw1
logged() { [ "$(grep -c -- "$2" "$XI_TMP/gw1.charon")" -ge "$1" ]; }
XI_SNAPLEN=80 capture_start wan br
tap_check "connections" connections seconds || tap_done
tap_check "a child of 60,000 bytes" ike_up gw1 soft-bytes
tap_check "a child of 700 packets" ike_up gw1 soft-packets
tap_check "a child of 3 seconds, for good" ike_up gw1 hard
tap_check "datagrams under soft limits" flow_start soft $RATE h1:10.7.1.2=h2:10.7.2.2 h1:10.8.1.2=h2:10.8.2.2
tap_check "datagrams under a hard one" flow_start hard $RATE h1:10.1.1.2=h2:10.1.2.2

EXPIRED='scheduling CHILD_SA recreate after hard expire'
for kind in soft-bytes soft-packets; do
	tap_check "$kind: rekeyed, again and again" wait_for 30 logged 3 "outbound CHILD_SA $kind{.*established"
done
tap_check "seconds: the SA expires, twice" wait_for 15 logged 2 "$EXPIRED"
tap_check "and is made anew" wait_for 5 ike_is gw1 1 '.name == "hard" and .state == "INSTALLED"'
tap_check "none is lost under soft limits" flow_end soft
tap_comment "$(tail -n 4 "$XI_TMP/soft.log")"

for kind in bytes packets; do
	n=$(grep -c -- "$EXPIRED" "$XI_TMP/gw1.charon")
	tap_check "$kind: connections" connections $kind
	tap_check "$kind: the child of before ends" swan gw1 --terminate --child hard
	tap_check "$kind: the SA expires, twice" wait_for 20 logged $((n + 2)) "$EXPIRED"
	tap_check "$kind: and is made anew" wait_for 5 ike_is gw1 1 '.name == "hard" and .state == "INSTALLED"'
done
flow_end hard > "$XI_TMP/hard.end"
tap_comment "$(tail -n 2 "$XI_TMP/hard.log")"
tap_check "most arrived, none twice" sh -c "tail -n 2 $XI_TMP/hard.log | jq -es 'all(.twice == 0 and .lost < .sent / 5)'"
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_done
