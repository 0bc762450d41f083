#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 180
#
# Two gateways whose SAs strongSwan negotiates: what charon installs carries traffic, through all that it does to SAs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
need_tools ip jq ping tcpdump swanctl nft
CHARON=/usr/sbin/charon-systemd
[ -x $CHARON ] || tap_skip_all "strongSwan (charon-systemd) is not installed"

swan() { net_in "$1" swanctl "${@:2}" --uri "unix://$XI_TMP/$1.vici" 2>&1; }

# charon GW: with one connection as it is, and one as through a NAT
charon() {
	local n=${1#gw} peer=$((3 - ${1#gw})) common
	cat > "$XI_TMP/$1.strongswan" <<- END
		charon-systemd {
			install_routes = no
			journal { default = -1 }
			filelog { log { path = $XI_TMP/$1.charon
			                default = 1
			                flush_line = yes } }
			plugins { vici { socket = unix://$XI_TMP/$1.vici } }
			load = random nonce aes sha1 sha2 hmac gmp kdf drbg kernel-netlink socket-default vici
		}
	END
	common="version = 2
		local_addrs = 192.0.2.$n
		remote_addrs = 192.0.2.$peer
		proposals = aes128-sha256-modp2048"
	cat > "$XI_TMP/$1.swanctl" <<- END
		connections {
		  plain { $common
		    local { auth = psk
		            id = plain$n }
		    remote { auth = psk
		             id = plain$peer }
		    children { net { local_ts = 10.1.$n.0/24
		                     remote_ts = 10.1.$peer.0/24
		                     esp_proposals = aes128gcm16-esn } } }
		  nat { $common
		    encap = yes
		    local { auth = psk
		            id = nat$n }
		    remote { auth = psk
		             id = nat$peer }
		    children { udp { local_ts = 10.1.$n.0/24
		                     remote_ts = 10.1.$peer.0/24
		                     esp_proposals = aes256-sha256 } } } }
		secrets { ike-1 { secret = "not a secret at all" } }
	END
	net_bg "charon-$1" "$1" env STRONGSWAN_CONF="$XI_TMP/$1.strongswan" \
		LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" $CHARON
	wait_for 15 test -S "$XI_TMP/$1.vici" &&
		swan "$1" --load-all --file "$XI_TMP/$1.swanctl" > "$XI_TMP/$1.load"
}

pings() { net_in h1 ping -q -c 50 -i 0.005 -W 2 10.1.2.2 | grep ' 0% packet loss'; }
initiated() { [[ $(swan gw1 --initiate --child "$1") == *"initiate completed successfully"* ]]; }
ended() {
	[[ $(swan gw1 --terminate --ike "$1") == *"terminate completed successfully"* ]] && wait_for 5 has_sas 0
}
has_sas() { [ "$(gwip gw2 ip xfrm state list | grep -c '^src')" = "$1" ]; }
# inbound_spi GW: of its newest SA
inbound_spi() { gwip "$1" ip xfrm state list | grep -A1 " dst 192.0.2.${1#gw}" | grep -o 'spi 0x[0-9a-f]*'; }

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	charon $gw || { tap_not_ok "charon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.charon")"; tap_done; }
done

capture_start wan br
tap_check "charon establishes a tunnel" initiated net
tap_check "it carries packets between the networks" pings
before=$(inbound_spi gw1)
tap_check "charon rekeys it" sh -c "swanctl --rekey --child net --uri unix://$XI_TMP/gw1.vici"
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
tap_check "the first of them have waited" waited
tap_check "charon takes it down" ended plain
swan gw1 --uninstall --child net > /dev/null

capture_start wan br
tap_check "charon establishes a tunnel as through a NAT" initiated udp
tap_is "of ESP in UDP" "$(gwip gw1 ip xfrm state list | grep -c '	encap type espinudp sport 4500 dport 4500')" 2
tap_check "it carries packets" pings
tap_check "while IKE goes the same way" sh -c "swanctl --rekey --ike nat --uri unix://$XI_TMP/gw1.vici"
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
