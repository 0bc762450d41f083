#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 180
#
# Two gateways whose SAs strongSwan negotiates: what charon installs carries traffic, through all that it does to SAs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools ip jq ping tcpdump nft

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
# one connection as it is, and one as through a NAT
connections() {
	ike_load_pair <<- END
		connections {
		  plain : wan, psk {
		    local { id = plain%n }
		    remote { id = plain%p }
		    children { net : nets { } } }
		  nat : wan, psk {
		    encap = yes
		    local { id = nat%n }
		    remote { id = nat%p }
		    children { udp : nets { esp_proposals = aes256-sha256 } } } }
	END
}
tap_check "both load their connections" connections || tap_done

pings() { net_in h1 ping -q -c 50 -i 0.005 -W 2 10.1.2.2 | grep ' 0% packet loss'; }
ended() { ike_down gw1 "$1" && wait_for 5 sas_are gw2 0; }
# inbound_spi GW: of its newest SA
inbound_spi() { gwip "$1" ip xfrm state list | grep -A1 " dst 192.0.2.${1#gw}" | grep -o 'spi 0x[0-9a-f]*'; }

capture_start wan br
tap_check "charon establishes a tunnel" ike_up gw1 net
tap_check "it carries packets between the networks" carries net 50 h1 10.1.2.2
before=$(inbound_spi gw1)
tap_check "charon rekeys it" swan gw1 --rekey --child net
rekeyed() { [ "$(inbound_spi gw1)" ] && ! grep -qx "$before" <<< "$(inbound_spi gw1)"; }
tap_check "packets go on" pings
tap_check "the old SAs go" wait_for 15 rekeyed
tap_check "and packets still go on" pings
tap_check "charon takes it down" ended plain
capture_stop wan br
tap_is "all went as ESP" "$(pcap_count "$XI_TMP/wan-br.pcap" icmp)" 0
tap_check "and as many" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50')" -ge 300

swan gw1 --install --child net > /dev/null
# one run of pings: the first packet of all makes charon negotiate
trap_pings() { net_in h1 ping -q -c 50 -i 0.02 -W 10 10.1.2.2 | grep ' 0% packet loss'; }
waited() { gwctl gw1 xipsec stats -j | jq -e '.waiting.packets == 0 and .reasons.held_done >= 1 and .reasons.no_sa == 0'; }
tap_check "a trap: no packet is lost while charon negotiates" trap_pings
tap_check "the first of them have waited" wait_for 5 waited || gwctl gw1 xipsec stats -j | jq -cM "[.waiting, .reasons]"
tap_check "charon takes it down" ended plain
swan gw1 --uninstall --child net > /dev/null

capture_start wan br
tap_check "charon establishes a tunnel as through a NAT" ike_up gw1 udp
tap_is "of ESP in UDP" "$(gwip gw1 ip xfrm state list | grep -c '	encap type espinudp sport 4500 dport 4500')" 2
tap_check "it carries packets" carries udp 50 h1 10.1.2.2
tap_check "while IKE goes the same way" swan gw1 --rekey --ike nat
tap_check "and packets go on" pings

# From now on the wire gives gw1 another port, as a NAT does that has forgotten it. Nothing but gw1's packets tells gw2.
nat() {
	net_in wan nft -f - <<- END
		table bridge nat {
			chain forward { type filter hook forward priority 0
				iifname "w1" udp sport 4500 udp sport set 61000
				oifname "w1" udp dport 61000 udp dport set 4500
			}
		}
	END
}
moved() { [ "$(gwip gw2 ip xfrm state list | grep -Ec 'sport (4500 dport 61000|61000 dport 4500)')" = 2 ]; }
tap_check "a NAT in between takes another port" nat
# charon deletes the SA and adds it anew: what comes in between is lost, with any kernel
net_in h1 ping -q -c 50 -i 0.005 -W 2 10.1.2.2 > "$XI_TMP/moving"
tap_check "MAPPING: charon moves both SAs to it" wait_for 10 moved
tap_check "and packets go on" wait_for 10 pings # the policies come last
tap_check "charon takes it down" ended nat
capture_stop wan br
tap_check "gw2 sent to the new port" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'src 192.0.2.2 and udp dst port 61000 and udp[8:4] != 0')" -ge 50
tap_is "no ESP without UDP" "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50 or icmp')" 0
# the SPI is not the four zero bytes that mark IKE
tap_check "ESP in UDP both ways" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'udp port 4500 and udp[8:4] != 0')" -ge 200
for gw in gw1 gw2; do
	tap_check "the daemon of $gw stops cleanly" stop_daemon $gw
done
tap_done
