#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two SAs in transport mode over one packet, host to host: ESP in AH, AH in ESP, ESP in ESP, and AH in ESP in UDP.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools jq tcpdump

net_up wan gw1 gw2 || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	tap_check "the daemon of $gw starts" start_daemon $gw || tap_done
done

# transport_line KIND FROM TO FAMILY SPI REQID: KIND is ah, esp or udp
transport_line() {
	local kind=$1 family=$4 spi=$5 proto=esp algs encap=
	algs="aead rfc4106(gcm(aes)) $(sa_key "$spi") 128"
	case $kind in
	ah) proto=ah algs="auth-trunc hmac(sha256) 0x$(printf '%064x' "$spi") 128" ;;
	udp) encap="encap espinudp 4500 4500 0.0.0.0" ;;
	esac
	echo "xfrm state add src $(outer_addr "$2" "$family") dst $(outer_addr "$3" "$family") proto $proto spi $spi reqid $6" \
		"mode transport $algs $encap"
}
# pair_lines N INNER OUTER FAMILY: of gateway N
pair_lines() {
	local n=$1 peer=$((3 - $1)) inner=$2 outer=$3 family=$4 way from to p1=${2/udp/esp} p2=${3/udp/esp} ends
	for from in 1 2; do
		transport_line "$inner" $from $((3 - from)) "$family" $((0x1000 + from)) 1
		transport_line "$outer" $from $((3 - from)) "$family" $((0x2000 + from)) 2
	done
	for way in out in; do
		if [ $way = out ]; then from=$n to=$peer; else from=$peer to=$n; fi
		ends="src $(outer_addr $from "$family") dst $(outer_addr $to "$family")"
		echo "xfrm policy add $ends dir $way tmpl $ends proto $p1 reqid 1 mode transport tmpl $ends proto $p2 reqid 2 mode transport"
	done
}
load_pair() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec xfrm policy flush && gwctl $gw xipsec xfrm state flush &&
			pair_lines ${gw#gw} "$@" | load_lines $gw || return 1
	done
}
pings() {
	net_in gw1 ping -q -c 5 -i 0.01 -W 1 "$1" && return 0
	for gw in gw1 gw2; do
		gwctl $gw xipsec stats -j | jq -c '.reasons | with_entries(select(.value > 0))'
	done
	return 1
}
passed() {
	pings "$1" | grep -q ' 0% packet loss'
}
verified() {
	gwctl gw2 xipsec stats -j | jq .reasons.crypto_success
}

for pair in "esp ah" "ah esp" "esp esp" "ah udp"; do
	for family in 4 6; do
		# shellcheck disable=SC2086
		tap_check "$pair, IPv$family: SAs and policies" load_pair $pair $family
		capture_start wan br
		before=$(verified)
		tap_check "$pair, IPv$family: ping" passed "$(outer_addr 2 $family)"
		tap_is "$pair, IPv$family: each came through two SAs" $(($(verified) - before)) 10
		capture_stop wan br
		tap_is "$pair, IPv$family: none went in clear" \
			"$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp or (icmp6 and ip6[40] >= 128 and ip6[40] <= 129)')" 0
	done
done
tap_done
