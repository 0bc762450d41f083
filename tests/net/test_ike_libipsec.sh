#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
# Against another implementation of ESP: gw2 has no xipsecd but strongSwan's kernel-libipsec, which does ESP in UDP, in
# user space, over a TUN device. It knows no ESN, no transport mode and no traps of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/ike_life.sh
need_root
need_ike
need_tools tcpdump
need_libipsec

net_up || tap_skip_all "cannot make network namespaces"
tap_check "xipsecd in gw1" start_daemon gw1 || tap_done
tap_check "charon in gw1" ike_start gw1 "${life_lines[@]}" || tap_done
libipsec() { IKE_KERNEL=libipsec IKE_ROUTES=yes ike_start gw2 "${life_lines[@]}"; }
tap_check "charon with kernel-libipsec in gw2" libipsec || tap_done
ike_ca > "$XI_TMP/ca.log" 2>&1
for gw in gw1 gw2; do
	tap_check "a certificate of $gw" ike_cert $gw
done
connections() {
	ike_load_pair <<- END
		connections {
		  gcm : wan, psk {
		    local { id = gcm%n }
		    remote { id = gcm%p }
		    children { gcm128 : nets { esp_proposals = aes128gcm16 } } }
		  gcm256 : wan, psk {
		    local { id = gcm256%n }
		    remote { id = gcm256%p }
		    children { gcm256 : nets { esp_proposals = aes256gcm16 } } }
		  cbc : wan, psk {
		    local { id = cbc%n }
		    remote { id = cbc%p }
		    children { cbc : nets { esp_proposals = aes256-sha256 } } }
		  chapoly : wan, psk {
		    local { id = chapoly%n }
		    remote { id = chapoly%p }
		    children { chapoly : nets { esp_proposals = chacha20poly1305 } } }
		  cert : wan, cert {
		    children { cert : nets { esp_proposals = aes128gcm16 } } }
		  v6 : wan6, psk {
		    local { id = v6%n }
		    remote { id = v6%p }
		    children { v6 : nets6 { esp_proposals = aes128gcm16 } } }
		  in6 : wan6, psk {
		    local { id = in6%n }
		    remote { id = in6%p }
		    children { in6 : nets { esp_proposals = aes256-sha256 } } }
		  esn : wan, psk {
		    local { id = esn%n }
		    remote { id = esn%p }
		    children { esn : nets { esp_proposals = aes128gcm16-esn } } }
		  host : wan, psk {
		    local { id = host%n }
		    remote { id = host%p }
		    children { host { mode = transport
		                      esp_proposals = aes128gcm16 } } } }
	END
}
tap_check "connections" connections || tap_done
XI_SNAPLEN=80 capture_start wan br
udp() { [ "$(gwip gw1 ip xfrm state list | grep -c 'encap type espinudp sport 4500 dport 4500')" = 2 ]; }
rekey() { swan "$1" --rekey --child "$2" && wait_for 15 ike_is "$1" 1 ".name == \"$2\""; }
# try CHILD [IKE]: from either side
try() {
	local child=$1 ike=${2:-$1} to1=10.1.1.2 to2=10.1.2.2
	[ "$child" != v6 ] || to1=fd00:1::2 to2=fd00:2::2
	tap_check "$child: gw1 initiates" ike_up gw1 "$child"
	tap_check "$child: ESP in UDP" udp
	tap_check "$child: from gw1's side" carries "$child" 20 h1 $to2
	tap_check "$child: gw1 takes it down" ike_down gw1 "$ike"
	tap_check "$child: gw2 initiates" ike_up gw2 "$child"
	tap_check "$child: from gw2's side" carries "$child" 20 h2 $to1
	tap_check "$child: gw2 takes it down" ike_down gw2 "$ike"
	tap_check "$child: nothing is left" wait_for 5 none_left
}
# refused CHILD GW WHY: what kernel-libipsec does not do is not established, because it says so
refused() {
	local before
	before=$(grep -c -- "$3" "$XI_TMP/gw2.charon")
	! ike_up "$2" "$1" > "$XI_TMP/refused" && wait_for 5 none_left &&
		[ "$(grep -c -- "$3" "$XI_TMP/gw2.charon")" -gt "$before" ] && return 0
	cat "$XI_TMP/refused"
	return 1
}

# of gw2, charon counts
sa_counts() {
	if [ "$1" = gw2 ]; then
		ike_sas gw2 | jq '[.[].children[]] | (map(.["packets-in"] | tonumber) | add // 0), (map(.["packets-out"] | tonumber) | add // 0)'
	else
		gwip "$1" ip -s xfrm state | awk '
			/^src/ { out = $2 ~ /[.:]1$/ }
			/^[ \t]*[0-9]+\(bytes\), [0-9]+\(packets\)/ { n[out] += $2 }
			END { print n[0] + 0; print n[1] + 0 }'
	fi
}
life_none_of() {
	if [ "$1" = gw2 ]; then ike_is gw2 0 true; else sas_are gw1 0; fi
}
none_left() { life_none_of gw1 && life_none_of gw2; }

try gcm128 gcm
try gcm256
try cbc
try chapoly
try cert
tap_check "cert: certificates were what they authenticated by" \
	grep -q "authentication of 'gw2@xipsec.test' with ECDSA.* successful" "$XI_TMP/gw1.charon"
try v6
try in6
for gw in gw1 gw2; do
	tap_check "ESN is refused, asked for by $gw" refused esn $gw "IPsec SA: ESN not supported"
	tap_check "transport mode is refused, asked for by $gw" refused host $gw "IPsec SA: unsupported mode"
done

life_esp=aes128gcm16
life_traps
# what is under way must fit into the 208 KB of charon's socket while charon waits for its turn on a busy machine
# shellcheck disable=SC2034
life_window=20
life_rekeying
capture_stop wan br > "$XI_TMP/capture"
tap_is "nothing but UDP 4500 and IKE" "$(pcap_count "$XI_TMP/wan-br.pcap" "not (udp port 4500 or $XI_LINK_FILTER)")" 0

# gw2 has nothing that holds what it has no SA for
life_expiry gw1
life_expiry gw2
life_dead w2
life_xipsecd gw1
life_ends gw1
life_dies gw1
tap_done
