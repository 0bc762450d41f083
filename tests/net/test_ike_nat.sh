#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A gateway behind a NAT, which strongSwan finds out by itself: ESP in UDP both ways, the host's own transport mode
# included; keepalives; rekeying.
#
#   h1 10.1.1.2 --- 10.1.1.1 gw1 192.168.1.1 --- 192.168.1.254 nat 192.0.2.9 === wan === 192.0.2.2 gw2 10.1.2.1 --- 10.1.2.2 h2
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump nft
RATE=200

up() {
	net_up wan gw2 h2 && net_add gw1 nat h1 && net_plug nat out 192.0.2.9/24 2001:db8::9/64 &&
		net_veth gw1 wan0 nat in "$XI_WAN_MTU" && net_addr gw1 wan0 192.168.1.1/24 && net_addr nat in 192.168.1.254/24 &&
		net_in gw1 ip route add default via 192.168.1.254 && net_host 1 &&
		net_in gw2 ip route replace 10.1.1.0/24 via 192.0.2.9
}
# maps PORT: IKE's port 4500 to this one; 500 to another
maps() {
	net_in nat nft -f - <<- END
		table ip nat
		delete table ip nat
		table ip nat {
			chain post {
				type nat hook postrouting priority 100
				oif out udp sport 4500 masquerade to :$1
				oif out udp sport 500 masquerade to :20500
				oif out masquerade
			}
		}
	END
}
up || tap_skip_all "cannot make network namespaces"
maps 20001 || tap_skip_all "this kernel has no NAT"
ike_gateways "keep_alive = 1"
connections() {
	local n
	for n in 1 2; do
		ike_load gw$n $n $((3 - n)) <<- END || return 1
			connections {
			  behind : common, psk {
			    remote_addrs = $([ $n = 1 ] && echo 192.0.2.2 || echo %any)
			    local { id = behind%n }
			    remote { id = behind%p }
			    children {
			      net : nets { }
			      host { mode = transport
			             esp_proposals = aes128-sha256 } } } }
		END
	done
}
tap_check "connections" connections || tap_done
capture_start wan w2
tap_check "gw1 establishes a tunnel" ike_up gw1 net || tap_done
encap() { gwip "$1" ip xfrm state list | grep -cE "	encap type espinudp sport $2 dport $3 "; }
tap_is "gw1 knows of port 4500" "$(encap gw1 4500 4500)" 2
tap_is "gw2 of the NAT's" "$(encap gw2 4500 20001) $(encap gw2 20001 4500)" "1 1"
tap_check "from behind the NAT" carries net 20 h1 10.1.2.2
tap_check "to behind the NAT" carries net 20 h2 10.1.1.2
tap_check "transport mode" ike_up gw1 host
tap_check "from behind the NAT" carries host 20 gw1 192.0.2.2
tap_check "datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
rekey() { swan "$1" --rekey --child net && wait_for 15 ike_is "$1" 1 '.name == "net"'; }
tap_check "gw1 rekeys" rekey gw1
tap_check "gw2 rekeys, to behind the NAT" rekey gw2
tap_check "gw2 rekeys the IKE SA" swan gw2 --rekey --ike behind
tap_check "no datagram is lost" flow_end flow
tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
tap_check "charon of gw1 keeps the NAT awake" \
	wait_for 10 grep -q 'sending keep alive to 192.0.2.2' "$XI_TMP/gw1.charon"

capture_stop wan w2 > "$XI_TMP/capture"
tap_is "no ping in clear, no ESP without UDP" "$(pcap_count "$XI_TMP/wan-w2.pcap" 'ip proto 50 or icmp or udp portrange 9100-9200')" 0
tap_check "ESP in UDP, both ways" test "$(pcap_count "$XI_TMP/wan-w2.pcap" 'udp port 20001 and udp[8:4] != 0')" -ge 100
tap_done
