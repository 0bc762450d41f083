#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
#
# Two IKE daemons of different make, both unchanged, over xipsec: libreswan's pluto in gw1, strongSwan's charon in gw2.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/libreswan.sh
need_root
need_ike
need_tools tcpdump certutil pk12util
need_libreswan
RATE=200
NETS='leftsubnet=10.1.%n.0/24
	rightsubnet=10.1.%p.0/24'
V6='left=2001:db8::%n
	right=2001:db8::%p'
NETS6="$V6
	leftsubnet=fd00:%n::/64
	rightsubnet=fd00:%p::/64"
CERT='authby=ecdsa
	leftcert=gw%n
	leftid=gw%n@xipsec.test
	rightid=gw%p@xipsec.test'

net_up || tap_skip_all "cannot make network namespaces"
ike_ca > "$XI_TMP/ca.log" 2>&1
for gw in gw1 gw2; do
	tap_check "xipsecd of $gw" start_daemon $gw || tap_done
	mkdir -p "$XI_TMP/$gw.swanctl/"{x509,x509ca,private}
	tap_check "a certificate of $gw" ike_cert $gw
done
tap_check "for pluto" lsw_cert gw1
tap_check "pluto of gw1" lsw_start gw1 || tap_done
tap_check "charon of gw2" ike_start gw2 || tap_done

# One connection for each way to authenticate and each family, whose children are alternatives.
# charon_has CHILD [LINE...]: of charon there is this child alone, with these lines
charon_has() {
	local auth=psk wan=wan
	[ "${family:-4}" = 4 ] || wan=wan6
	[[ $1 != cert* ]] || auth=cert
	ike_load gw2 2 1 <<- END
		connections {
		  peer : $wan, $auth {
		    proposals = aes256gcm16-prfsha512-x25519,aes256gcm16-prfsha512-modp2048
		    $(printf '%s\n' "${ike_lines[@]}")
		    children { $1 : ${nets:-nets} { $(printf '%s\n' "${@:2}") } } } }
	END
}
ike_lines=()
ends() {
	ike_down gw2 peer
	lsw_unload gw1 t
	wait_for 10 none_left
}

pluto_ends() { lsw_unload gw1 t && wait_for 10 none_left; }

# try NAME "PLUTO'S LINES" SAS FROM TO BACK CHILD "CHARON'S LINE"...: a tunnel from either side, and traffic from both
try() {
	local name=$1 lines=$2 from=$4 to=$5 back=$6 child=$7 sas
	mapfile -t sas <<< "$3"
	tap_check "$name: charon's connection" charon_has "$child" "${@:8}" || return
	tap_check "$name: pluto's connection" lsw_load gw1 1 2 t <<< "$lines" || return
	tap_check "$name: pluto establishes it" lsw_up gw1 t || tap_comment "$(tail -n 12 "$XI_TMP/gw2.charon")"
	tap_check "$name: SAs are as wanted" both_have 2 "${sas[@]}"
	tap_check "$name: it carries" both_carry 20 "$from" "$to"
	tap_check "$name: pluto takes it down" lsw_down gw1 t
	tap_check "$name: at both ends" wait_for 10 none_left
	tap_check "$name: charon establishes it" ike_up gw2 "$child"
	tap_check "$name: SAs are as wanted" both_have 2 "${sas[@]}"
	tap_check "$name: it carries" both_carry 20 ${back/=/ }
	tap_check "$name: charon takes it down" ends
}
XI_SNAPLEN=80 capture_start wan br
try "AES-GCM, ESN" "$NETS
	esp=aes_gcm256
	esn=yes" $'mode tunnel\nflag .*esn\nrfc4106.gcm.aes.. 0x[0-9a-f]{72} 128' h1 10.1.2.2 h2=10.1.1.2 \
	gcm "esp_proposals = aes256gcm16-esn"
try "AES-CBC, SHA-2" "$NETS
	esp=aes256-sha2_256
	esn=no" $'mode tunnel\nenc cbc.aes. 0x[0-9a-f]{64}\nauth-trunc hmac.sha256. .* 128' h1 10.1.2.2 h2=10.1.1.2 \
	cbc "esp_proposals = aes256-sha256"
try "ChaCha20-Poly1305" "$NETS
	esp=chacha20_poly1305
	esn=no" $'mode tunnel\nrfc7539esp' h1 10.1.2.2 h2=10.1.1.2 chacha "esp_proposals = chacha20poly1305"
ike_lines=("send_cert = always")      # pluto does not ask for it
try "certificates" "$NETS
	$CERT
	esp=aes_gcm128" $'mode tunnel\nrfc4106' h1 10.1.2.2 h2=10.1.1.2 cert
ike_lines=("encap = yes")
try "in UDP" "$NETS
	encapsulation=yes
	esp=aes_gcm128" $'mode tunnel\nencap type espinudp sport 4500 dport 4500' h1 10.1.2.2 h2=10.1.1.2 udp
ike_lines=()
nets=none
ike_sections+='none { }'
try "transport mode" "type=transport
	esn=no
	esp=aes256-sha2_256" $'mode transport\nenc cbc.aes.' gw1 192.0.2.2 gw2=192.0.2.1 \
	transport "mode = transport" "esp_proposals = aes256-sha256"
nets=nets6 family=6
try "IPv6" "$NETS6
	esn=yes
	esp=aes_gcm128" $'mode tunnel\nflag .*esn' h1 fd00:2::2 h2=fd00:1::2 v6
nets=nets family=4

# traps on both sides
trap_pings() { net_in "$1" ping -q -c 20 -i 0.02 -W 10 "$2" | grep ' 0% packet loss'; }
trapped() { [ "$(xfrm_of "$1" xfrm policy list dir out | grep -c '^src 10')" = 1 ]; }
tap_check "traps: charon's" charon_has net "start_action = trap"
traps() {
	lsw_load gw1 1 2 t <<< "$NETS
		esn=yes
		esp=aes_gcm128" && lsw_route gw1 t
}
tap_check "traps: pluto's" traps
for gw in gw1 gw2; do
	tap_check "traps: a policy stands in $gw" wait_for 10 trapped $gw
done
tap_check "traps: no SA yet" none_left
tap_check "traps: a ping makes pluto negotiate, and none is lost" trap_pings h1 10.1.2.2
tap_check "traps: it carries" both_carry 20 h1 10.1.2.2
tap_check "traps: pluto takes it down" lsw_down gw1 t
tap_check "traps: at both ends" wait_for 10 none_left
tap_check "traps: a ping makes charon negotiate, and none is lost" trap_pings h2 10.1.1.2
tap_check "traps: it carries" both_carry 20 h2 10.1.1.2
tap_check "traps: charon takes it down" ends

# rekeying NAME LINES CHARON'S...: by whose log it is
rekey_begin() {
	held=$(($(gw_reason_of gw1 held) + $(gw_reason_of gw2 held)))
	tap_check "$1: datagrams both ways" flow_start flow $((5 * RATE)) h1:10.1.1.2=h2:10.1.2.2
}
rekey_end() {
	flow_end flow > "$XI_TMP/flow.end"
	tap_comment "$(tail -n 2 "$XI_TMP/flow.log"); $(($(gw_reason_of gw1 held) + $(gw_reason_of gw2 held) - held)) waited"
	tap_is "$1: no datagram is lost, and none arrives twice" "$(tail -n 2 "$XI_TMP/flow.log" | jq -c '[.lost, .twice]' | sort -u)" "[0,0]"
	tap_check "$1: it carries" wait_for 10 both_carry 20 h1 10.1.2.2
	tap_check "$1: pluto takes it down" pluto_ends
}
charon_logged() { [ "$(grep -c -- "$2" "$XI_TMP/gw2.charon")" -ge "$1" ]; }

name="pluto rekeys"
tap_check "$name: charon's connection" charon_has net
tap_check "$name: pluto's" lsw_load gw1 1 2 t <<< "$NETS
	esn=yes
	esp=aes_gcm128
	pfs=no
	salifetime=4s
	rekeymargin=2s
	rekeyfuzz=0%"
tap_check "$name: a tunnel" lsw_up gw1 t
n=$(lsw_log gw1 | grep -c 'initiator rekeyed Child SA')
rekey_begin "$name"
tap_check "$name: again and again" wait_for 30 lsw_logged gw1 $((n + 3)) 'initiator rekeyed Child SA'
rekey_end "$name"

name="charon rekeys"
tap_check "$name: charon's connection" charon_has net "rekey_time = 2s" "life_time = 30s" "rand_time = 0s"
tap_check "$name: pluto's" lsw_load gw1 1 2 t <<< "$NETS
	esn=yes
	pfs=no
	esp=aes_gcm128"
tap_check "$name: a tunnel" lsw_up gw1 t
REKEYED='outbound CHILD_SA .* established'
n=$(grep -c "$REKEYED" "$XI_TMP/gw2.charon")
rekey_begin "$name"
tap_check "$name: again and again" wait_for 30 charon_logged $((n + 3)) "$REKEYED"
rekey_end "$name"
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_done
