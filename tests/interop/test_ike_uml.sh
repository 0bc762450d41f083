#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 300
#
# strongSwan at both ends, over xipsec at one, over Linux's own ESP at the other: what one end negotiates for its kernel and
# the other for xipsec is the same SA. Each tunnel is begun by one end and then by the other.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/ike_uml.sh
need_root
need_ike
need_tools tcpdump

ike_uml_up
ike_ca > "$XI_TMP/ca.log" 2>&1
for gw in gw1 gw2; do
	tap_check "a certificate of $gw" ike_cert $gw
done
# A connection for each child, with IDs of its own: charon chooses among children of one by their networks alone. Names,
# what the connection and the child inherit from, and a line of each.
connections() {
	local text name ike child ike_line child_line
	text=$(while IFS='|' read -r name ike child ike_line child_line; do
		cat <<- END
			$name : $ike {
			  $ike_line
			  $([[ $ike = *cert ]] || printf 'local { id = %s }\nremote { id = %s }' "$name%n" "$name%p")
			  children { $name : $child { $child_line } } }
		END
	done)
	ike_load_pair <<- END
		host { mode = transport
		       esp_proposals = aes128-sha256 }
		connections {
		$text
		}
	END
}
children="
gcm|wan, psk|nets||
gcm256|wan, psk|nets||esp_proposals = aes256gcm16-esn
chacha|wan, psk|nets||esp_proposals = chacha20poly1305-esn
chacha-32|wan, psk|nets||esp_proposals = chacha20poly1305
cbc|wan, psk|nets||esp_proposals = aes256-sha256-esn
cbc-32|wan, psk|nets||esp_proposals = aes128-sha256
transport|wan, psk|host||
transport-gcm|wan, psk|host||esp_proposals = aes128gcm16-esn
cert|wan, cert|nets||
udp|wan, psk|nets|encap = yes|
udp-transport|wan, psk|host|encap = yes|esp_proposals = aes128gcm16
v6|wan6, psk|nets6||
in6|wan6, psk|nets||esp_proposals = aes256gcm16
v6-transport|wan6, psk|host||esp_proposals = aes256-sha256
"
tap_check "connections" connections <<< "$(sed '/^$/d' <<< "$children")" || tap_done
XI_SNAPLEN=80 capture_start wan br

# try CHILD SAS FROM TO [BACK TO]
try() {
	local child=$1 from=$3 to=$4 sas
	IFS='|' read -r -a sas <<< "$2"
	tap_check "$child: gw1 establishes it" ike_up gw1 "$child" || return
	tap_check "$child: SAs are as wanted" both_have 2 "${sas[@]}"
	tap_check "$child: it carries" both_carry 20 "$from" "$to"
	tap_check "$child: gw1 takes it down" ike_down gw1 "$child"
	tap_check "$child: at both ends" wait_for 10 none_left
	tap_check "$child: the kernel's charon establishes it" ike_up gw2 "$child" || return
	tap_check "$child: SAs are as wanted" both_have 2 "${sas[@]}"
	tap_check "$child: it carries" both_carry 20 "${5:-$from}" "${6:-$to}"
	tap_check "$child: the kernel's charon takes it down" ike_down gw2 "$child"
	tap_check "$child: at both ends" wait_for 10 none_left
}
NETS="h1 10.1.2.2 h2 10.1.1.2"
NETS6="h1 fd00:2::2 h2 fd00:1::2"
# shellcheck disable=SC2086
{
	try gcm256 'mode tunnel|flag .*esn|rfc4106.gcm.aes.. 0x[0-9a-f]{72} 128' $NETS
	try chacha 'mode tunnel|flag .*esn|rfc7539esp' $NETS
	try cbc-32 'mode tunnel|enc cbc.aes. 0x[0-9a-f]{32}$|auth-trunc hmac.sha256. .* 128' $NETS
	try cbc 'mode tunnel|flag .*esn|enc cbc.aes. 0x[0-9a-f]{64}$' $NETS
	try transport 'mode transport|enc cbc.aes.' gw1 192.0.2.2
	try transport-gcm 'mode transport|flag esn' gw1 192.0.2.2
	try cert 'mode tunnel|flag .*esn' $NETS
	try udp 'mode tunnel|encap type espinudp sport 4500 dport 4500' $NETS
	try udp-transport 'mode transport|encap type espinudp sport 4500 dport 4500' gw1 192.0.2.2
	try v6 'mode tunnel|flag .*esn' $NETS6
	try in6 'src 2001:db8::[12] dst 2001:db8::[12]|mode tunnel' $NETS
	try v6-transport 'mode transport|enc cbc.aes.' gw1 2001:db8::2
}
tap_check "certificates were what they authenticated by" ike_logged gw1 2 "authentication of 'gw2@xipsec.test' with ECDSA.* successful"

# several at one time, each with SAs of its own
tap_check "a tunnel of IPv4" ike_up gw1 gcm
tap_check "one of IPv6" ike_up gw2 v6
tap_check "and transport mode" ike_up gw1 transport
tap_check "three pairs of SAs" both_have 6
tap_check "IPv4 goes its way" carries gcm 20 h1 10.1.2.2
tap_check "IPv6" carries v6 20 h1 fd00:2::2
tap_check "the hosts' own" carries transport 20 gw1 192.0.2.2
for size in 1 600 1400 3000; do
	tap_check "packets of $size bytes" net_in h1 ping -q -c 5 -i 0.01 -W 5 -s $size 10.1.2.2
done
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_is "no error in the kernel" "$(uml_run <<< "grep -v '[[:space:]]0$' /proc/net/xfrm_stat")" ""
tap_done
