#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A gateway against scapy's IPsec, both ways: each side starts. All family combinations, ESN, UDP, and some of each
# kind of algorithm; test_scapy_packets.sh has them all, without a gateway.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool tcpdump jq ping
/usr/bin/python3 -c 'import scapy, cryptography' 2> /dev/null ||
	tap_skip_all "python3-scapy is not installed; run make deps"
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/peer.sh

tap_check "gw1, h1 and an independent peer" peer_up || tap_done
tap_check "xipsecd starts" start_daemon gw1 || tap_done

answered() {
	net_in h1 ping -q -c 20 -i 0.02 -W 2 "$1" | grep ' 0% packet loss'
}
verdicts() {
	jq -c '[.received > 0, .icv_bad, .replayed, .unknown_spi, .inner_bad]' "$1"
}
# other NAME ENC-OR-AEAD KEY-BITS AUTH AUTH-BITS ICV SCAPY-ARG...: from now on this one, in the place of what sas.sh has
other() {
	ALG=("$@")
	PEER_ARGS=("${@:7}")
}
sa_key() {
	local long
	long=$(sha512sum <<< "$1 ${ALG[0]}")$(sha512sum <<< "${ALG[0]} $1")
	echo "0x${long//[ -]/}" | cut -c "1-$((2 + (ALG[2] + ALG[4]) / 4))"
}
sa_algs() {
	local end=$((2 + ALG[2] / 4)) crypt='""'
	[ "${ALG[2]}" = 0 ] || crypt=${1:0:end}
	if [ -z "${ALG[3]}" ]; then
		echo "aead ${ALG[1]} $crypt ${ALG[5]}"
	else
		echo "enc ${ALG[1]} $crypt auth-trunc ${ALG[3]} 0x${1:end} ${ALG[5]}"
	fi
}
UDP="encap espinudp 4500 4500 0.0.0.0"
# try OUTER INNER [WORDS]: of the SAs, for ip: flag esn, $UDP
try() {
	local outer=$1 inner=$2 opts=("${PEER_ARGS[@]}") words
	local name="${ALG[0]}, IPv$2 in IPv$1"
	shift 2
	read -r -a words <<< "$*"
	case "$*" in *esn*) opts+=(--esn) name+=", ESN" ;; esac
	case "$*" in *espinudp*) opts+=(--encap 4500:4500) name+=", UDP" ;; esac
	tap_check "$name: SAs" peer_tunnel "$outer" "$inner" "${words[@]}" replay-window 64
	tap_is "$name: scapy starts" "$(peer_send "$outer" "$inner" ok,ok,big:1,big:2,big:3,big:1000,skip:50,ok,hold,ok,late "${opts[@]}")" 11111101011
	tap_is "$name: what came back was good" "$(verdicts "$XI_TMP/send.json")" '[true,0,0,0,0]'
	peer_tunnel "$outer" "$inner" "${words[@]}" replay-window 64
	peer_answer "$outer" "$inner" "${opts[@]}"
	tap_check "$name: h1 starts" answered "$(inner_host 2 "$inner")"
	peer_answer_stop
	tap_is "$name: what scapy saw was good" "$(verdicts "$XI_TMP/answer.log")" '[true,0,0,0,0]'
}

other AES-GCM-128 'rfc4106(gcm(aes))' 160 '' 0 128
try 4 4
try 4 6 flag esn
try 6 4 "$UDP"
other AES-GCM-256 'rfc4106(gcm(aes))' 288 '' 0 128
try 6 6 flag esn
other CHACHA20-POLY1305 'rfc7539esp(chacha20,poly1305)' 288 '' 0 128 --crypt CHACHA20-POLY1305
try 4 4 "$UDP flag esn"
other AES-CCM-192 'rfc4309(ccm(aes))' 216 '' 0 128 --crypt AES-CCM
try 6 4
other 'AES-CBC-192 SHA2-256-128' 'cbc(aes)' 192 'hmac(sha256)' 256 128 --auth SHA2-256-128
try 4 6
other 'AES-CTR-256 SHA2-512-256' 'rfc3686(ctr(aes))' 288 'hmac(sha512)' 512 256 --crypt AES-CTR --auth SHA2-512-256
try 6 6 flag esn
other 'NULL AES-CMAC-96' 'ecb(cipher_null)' 0 'cmac(aes)' 128 96 --crypt NULL --auth AES-CMAC-96
try 4 4 "$UDP"
other 'AES-CBC-128 HMAC-SHA1-96' 'cbc(aes)' 128 'hmac(sha1)' 160 96 --auth HMAC-SHA1-96
try 6 4 flag esn

tap_check "${ALG[0]}: SAs anew" peer_tunnel 6 4 flag esn replay-window 64
tap_is "${ALG[0]}: what was not good was not answered" \
	"$(peer_send 6 4 ok,tampered,tampered-data,tampered-seq,short,dummy,ok --esn "${PEER_ARGS[@]}")" 1000001

# outer header: DF and DSCP as RFC 4301 section 5.1.2 wants them
other AES-GCM-128 'rfc4106(gcm(aes))' 160 '' 0 128
peer_tunnel 4 4
peer_answer 4 4
net_in h1 ping -q -c 1 -W 2 -Q 0xb8 -M do 10.1.2.2 > /dev/null
net_in h1 ping -q -c 1 -W 2 -Q 0x02 -M dont 10.1.2.2 > /dev/null
peer_answer_stop
tap_is "outer DSCP and ECN from the inner header, DF copied, TTL fresh" \
	"$(jq -c '[.outer[] | [.tos, .df, .ttl]]' "$XI_TMP/answer.log")" '[[184,true,64],[2,false,64]]'
tap_done
