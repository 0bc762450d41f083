#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# MOBIKE (RFC 4555): a gateway changes its address under traffic, in the end to one of IPv6. charon deletes each
# SA and installs it anew with the same key, and no number of it is used twice.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump
RATE=200

net_up || tap_skip_all "cannot make network namespaces"
# a second address, which stays when the first goes
net_in gw1 sh -c 'echo 1 > /proc/sys/net/ipv4/conf/wan0/promote_secondaries'
net_addr gw1 wan0 192.0.2.11/24
# charon tries all there are, and takes what answers first
net_in gw1 ip addr del 2001:db8::1/64 dev wan0
ike_gateways
connections() {
	ike_load_pair <<- END
		connections {
		  moving : psk {
		    version = 2
		    mobike = yes
		    proposals = aes128-sha256-x25519
		    remote_addrs = 192.0.2.%p, 192.0.2.0/24
		    local { id = moving%n }
		    remote { id = moving%p }
		    children {
		      net : nets { }
		      cbc : nets6 { esp_proposals = aes256-sha256 } } } }
	END
}
tap_check "connections" connections || tap_done
tap_check "a tunnel" ike_up gw1 net || tap_done
tap_check "another of AES-CBC" ike_up gw1 cbc || tap_done
at() { [ "$(ike_sas "$1" | jq -r ".[0][\"$2-host\"]")" = "$3" ]; }
tap_check "from the first address" at gw1 local 192.0.2.1
spis() { ike_sas gw1 | jq -r '[.[].children[] | .["spi-in"], .["spi-out"]] | sort | join(" ")'; }
before=$(spis)
XI_SNAPLEN=96 capture_start wan br
tap_check "datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2 h1:fd00:1::2=h2:fd00:2::2

out() { ike_count gw2 net packets-out; }
grows() { [ "$(ike_count "$1" "$2" packets-in)" -gt "$3" ]; }
# carried: more arrives in both, of both children
carried() {
	local gw child
	for gw in gw1 gw2; do
		for child in net cbc; do
			wait_for 10 grows $gw $child $(($(ike_count $gw $child packets-in) + RATE / 4)) || { echo "nothing in $gw $child"; return 1; }
		done
	done
}
sas_from() { [ "$(gwip "$1" ip xfrm state list | grep -c "^src $2 ")" = 2 ]; }
# moves FROM TO: gw1's address
moves() {
	net_in gw1 ip addr del "$1" dev wan0 && wait_for 20 at gw1 local "$2" && wait_for 10 at gw2 remote "$2" &&
		wait_for 10 sas_from gw1 "$2" && wait_for 10 sas_from gw2 "$2"
}
tap_check "traffic" carried
n=$(out)
tap_check "the address goes: MOBIKE moves both SAs to the other" moves 192.0.2.1/24 192.0.2.11
tap_check "traffic goes on" carried
net_addr gw1 wan0 192.0.2.1/24
tap_check "and back" moves 192.0.2.11/24 192.0.2.1
tap_check "traffic goes on" carried
net_addr gw1 wan0 2001:db8::1/64
tap_check "and to IPv6" moves 192.0.2.1/24 2001:db8::1
tap_check "traffic goes on" carried
tap_is "the SAs are the same" "$(spis)" "$before"
tap_check "and count on" test "$(out)" -gt $((n + RATE / 4))
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 4 "$XI_TMP/flow.log")"
tap_check "none arrived twice" test "$(tail -n 4 "$XI_TMP/flow.log" | jq -s 'map(.twice) | add')" = 0
tap_check "both carry every packet" carries net 50 h1 10.1.2.2
tap_check "and rekey" swan gw1 --rekey --child net
capture_stop wan br > "$XI_TMP/capture"
tap_is "no datagram in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" 'udp and not port 500 and not port 4500')" 0
tap_check "no number of an SA twice: no nonce under the same key" esp_unique "$XI_TMP/wan-br.pcap"
tap_comment "$(esp_unique "$XI_TMP/wan-br.pcap")"
tap_done
