#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# IPv4 and IPv6, outside and inside, tunnel and transport mode; several children in one IKE SA, and selectors of one
# protocol and port.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump nc

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
connections() {
	ike_load_pair <<- END
		connections {
		  four : wan, psk {
		    local { id = four%n }
		    remote { id = four%p }
		    children {
		      t44 : nets { local_ts = 10.1.%n.2/32
		                   remote_ts = 10.1.%p.2/32 }
		      t46 : nets6 { local_ts = fd00:%n::2/128
		                    remote_ts = fd00:%p::2/128 }
		      x4 { mode = transport
		           esp_proposals = aes128gcm16-esn }
		      both { local_ts = 10.7.%n.0/24, fd07:%n::/64
		             remote_ts = 10.7.%p.0/24, fd07:%p::/64
		             esp_proposals = aes128-sha256 } } }
		  six : wan6, psk {
		    local { id = six%n }
		    remote { id = six%p }
		    children {
		      t64 : nets { local_ts = 10.8.%n.0/24
		                   remote_ts = 10.8.%p.0/24 }
		      t66 : nets6 { local_ts = fd08:%n::/64
		                    remote_ts = fd08:%p::/64 }
		      x6 { mode = transport
		           esp_proposals = chacha20poly1305 } } } }
	END
}
more_addresses() {
	local n
	for n in 1 2; do
		net_addr h$n lan0 10.7.$n.2/24 10.8.$n.2/24 fd07:$n::2/64 fd08:$n::2/64 &&
			net_addr gw$n lan0 10.7.$n.1/24 10.8.$n.1/24 fd07:$n::1/64 fd08:$n::1/64 &&
			net_in gw$n ip route add 10.7.$((3 - n)).0/24 via 192.0.2.$((3 - n)) &&
			net_in gw$n ip route add 10.8.$((3 - n)).0/24 via 192.0.2.$((3 - n)) &&
			net_in gw$n ip route add fd07:$((3 - n))::/64 via 2001:db8::$((3 - n)) &&
			net_in gw$n ip route add fd08:$((3 - n))::/64 via 2001:db8::$((3 - n)) || return 1
	done
}
tap_check "more addresses" more_addresses
tap_check "connections" connections || tap_done
capture_start wan br
for child in t44 t46 both t64 t66 x4 x6; do
	tap_check "$child is established" ike_up gw1 $child
done
tap_is "two IKE SAs, seven children" "$(ike_sas gw2 | jq -c '[length, ([.[].children[]] | length)]')" "[2,7]"
tap_check "IPv4 in IPv4" carries t44 20 h1 10.1.2.2
tap_check "IPv6 in IPv4" carries t46 20 h1 fd00:2::2
tap_check "IPv4 of two selectors" carries both 20 h1 10.7.2.2 -I 10.7.1.2
tap_check "IPv6 of two selectors, in the same SA" carries both 20 h1 fd07:2::2 -I fd07:1::2
tap_check "IPv4 in IPv6" carries t64 20 h1 10.8.2.2 -I 10.8.1.2
tap_check "IPv6 in IPv6" carries t66 20 h1 fd08:2::2 -I fd08:1::2
tap_check "transport mode, IPv4" carries x4 20 gw1 192.0.2.2
tap_check "transport mode, IPv6" carries x6 20 gw1 2001:db8::2
tap_check "the other end, transport mode" carries x4 20 gw2 192.0.2.1
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "IKE goes on, past policies for the host itself" swan gw1 --rekey --ike four
for gw in gw1 gw2; do
	tap_check "charon of $gw ends" ike_stop $gw
	tap_is "and takes SAs and policies with it" "$(gwip $gw ip xfrm state list; gwip $gw ip xfrm policy list)" ""
done
tap_done
