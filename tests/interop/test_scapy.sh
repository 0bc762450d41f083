#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# xipsec against scapy's IPsec, both ways: each side starts, all family combinations, with and without ESN, AES-GCM
# and AES-CBC with each HMAC.
# timeout: 360
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
try() {
	local outer=$1 inner=$2 opts=()
	local name="${SA_AUTH:+AES-CBC-$SA_KEY_BITS $SA_AUTH, }IPv$2 in IPv$1${3:+, ESN}"
	shift 2
	[ $# = 0 ] || opts=(--esn)
	tap_check "$name: SAs" peer_tunnel "$outer" "$inner" "$@" replay-window 64
	tap_is "$name: scapy starts" "$(peer_send "$outer" "$inner" ok,ok,big:1,big:2,big:3,big:1000,skip:50,ok,hold,ok,late "${opts[@]}")" 11111101011
	tap_is "$name: what came back was good" "$(verdicts "$XI_TMP/send.json")" '[true,0,0,0,0]'
	gwctl gw1 xipsec xfrm state flush
	gwctl gw1 xipsec xfrm policy flush
	peer_tunnel "$outer" "$inner" "$@" replay-window 64
	peer_answer "$outer" "$inner" "${opts[@]}"
	tap_check "$name: h1 starts" answered "$(inner_host 2 "$inner")"
	peer_answer_stop
	tap_is "$name: what scapy saw was good" "$(verdicts "$XI_TMP/answer.log")" '[true,0,0,0,0]'
}
for outer in 4 6; do
	for inner in 4 6; do
		try $outer $inner
		try $outer $inner flag esn
	done
done
SA_KEY_BITS=256
try 4 4 flag esn
SA_KEY_BITS=192
try 4 4

for SA_AUTH in 'hmac(sha1)' 'hmac(sha256)' 'hmac(sha384)' 'hmac(sha512)'; do
	SA_KEY_BITS=128
	try 4 4
	SA_KEY_BITS=256
	try 6 6 flag esn
done
SA_KEY_BITS=192 SA_AUTH='hmac(sha256)'
try 4 6
try 6 4 flag esn
peer_tunnel 6 4 flag esn replay-window 64
tap_is "AES-CBC: what was not good was not answered" \
	"$(peer_send 6 4 ok,tampered,tampered-data,tampered-seq,short,dummy,ok --esn)" 1000001
SA_AUTH=

# outer header: DF and DSCP as RFC 4301 section 5.1.2 wants them
SA_KEY_BITS=128
peer_tunnel 4 4
peer_answer 4 4
net_in h1 ping -q -c 1 -W 2 -Q 0xb8 -M do 10.1.2.2 > /dev/null
net_in h1 ping -q -c 1 -W 2 -Q 0x02 -M dont 10.1.2.2 > /dev/null
peer_answer_stop
tap_is "outer DSCP and ECN from the inner header, DF copied, TTL fresh" \
	"$(jq -c '[.outer[] | [.tos, .df, .ttl]]' "$XI_TMP/answer.log")" '[[184,true,64],[2,false,64]]'
tap_done
