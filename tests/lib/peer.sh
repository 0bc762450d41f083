# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# gw1 of tests/lib/netns.sh with scapy in the place of gw2. Source tests/lib/sas.sh first.
#
#   peer_up                     h1, gw1, wan, and a namespace "peer" with gw2's addresses
#   peer_tunnel OUTER INNER [OPTION...]   gw1's SAs and policies
#   peer_send OUTER INNER PLAN [ARG...]   runs a plan of tests/interop/esp_peer.py; prints what was answered, one
#                               digit a step; the whole result is in $XI_TMP/send.json. Echo requests go to h1
#   peer_answer OUTER INNER [ARG...]      answers echo requests until peer_answer_stop; result in $XI_TMP/answer.log
#   gw_reason NAME, gw_drops    a counter of gw1, and the sum of all drops

peer_up() {
	net_up wan gw1 h1 && net_add peer && net_plug peer p0 192.0.2.2/24 2001:db8::2/64
}

peer_tunnel() {
	gwctl gw1 xipsec xfrm state flush && gwctl gw1 xipsec xfrm policy flush &&
		tunnel_lines gw1 "$@" | load_lines gw1
}

# the SAs as the peer sees them
peer_sas() {
	local in out
	declare -A auth=(["hmac(sha1)"]=HMAC-SHA1-96 ["hmac(sha256)"]=SHA2-256-128 ["hmac(sha384)"]=SHA2-384-192
		["hmac(sha512)"]=SHA2-512-256)
	[ -z "${SA_AUTH:-}" ] || printf '%s ' --auth "${auth[$SA_AUTH]}"
	in=$(tunnel_spi 1 "$1" "$2")
	out=$(tunnel_spi 2 "$1" "$2")
	echo "--local $(outer_addr 2 "$1") --remote $(outer_addr 1 "$1")" \
		"--spi-in $in --key-in $(sa_key $((in))) --spi-out $out --key-out $(sa_key $((out))) --dev p0"
}

inner_host() {
	if [ "$2" = 6 ]; then echo "fd00:$1::2"; else echo "10.1.$1.2"; fi
}

peer_send() {
	local outer=$1 inner=$2 plan=$3
	shift 3
	# shellcheck disable=SC2046
	net_in peer tests/interop/esp_peer.py send $(peer_sas "$outer" "$inner") \
		--inner-src "$(inner_host 2 "$inner")" --inner-dst "$(inner_host 1 "$inner")" --plan "$plan" "$@" \
		> "$XI_TMP/send.json" || return 1
	jq -r .answered "$XI_TMP/send.json"
}

peer_answer() {
	local outer=$1 inner=$2
	shift 2
	rm -f "$XI_TMP/ready"
	# shellcheck disable=SC2046
	net_bg answer peer tests/interop/esp_peer.py answer $(peer_sas "$outer" "$inner") --ready "$XI_TMP/ready" "$@"
	wait_for 20 test -e "$XI_TMP/ready"
}

peer_answer_stop() {
	kill "${xi_pids["bg answer"]}"
	wait "${xi_pids["bg answer"]}"
}

gw_reason() {
	gwctl gw1 xipsec stats -j | jq -r ".reasons.$1 // 0"
}

gw_drops() {
	gwctl gw1 xipsec stats -j | jq -r .drops
}
