#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Packets of every size through tunnels: those that may be cut arrive, senders of the others hear what fits; gw1 cuts before
# ESP, gw2 after it. A LAN of large packets behind each, and a wire of 1500 bytes between them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip jq tcpdump nc

# the largest that a device with XDP takes less a little
XI_LAN_MTU=3500 XI_WAN_MTU=1500 XI_SNAPLEN=128
PORT=7001

net_up || tap_skip_all "cannot make network namespaces"
tap_check "gw1 cuts before ESP" start_daemon gw1 || tap_done
tap_check "gw2 cuts after it" start_daemon gw2 "$(gw_conf gw2 '[daemon]' 'fragment = after')" || tap_done
for n in 1 2; do
	net_bg answer$n h$n tests/net/datagrams.py answer $PORT "$XI_TMP/answer$n"
done
wait_for 10 test -e "$XI_TMP/answer1" -a -e "$XI_TMP/answer2" || tap_not_ok "hosts answer"

reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}
drops() {
	gwctl "$1" xipsec stats -j | jq -r .drops
}
host() {
	[ "$2" = 6 ] && echo "fd00:$1::2" || echo "10.1.$1.2"
}
# datagrams FROM FAMILY [OPTION...] SIZES: from one host to the other
datagrams() {
	local n=$1 f=$2
	shift 2
	net_in "h$n" tests/net/datagrams.py send "${@:1:$#-1}" "$(host "$n" "$f")" "$(host $((3 - n)) "$f")" $PORT "${!#}"
}

# limit OUTER ALG ENCAP [PATH]: the largest packet that fits (RFC 4303 section 2: SPI, number, IV, payload, padding and two
# bytes, ICV)
limit() {
	local fixed=$(($1 == 6 ? 40 : 20)) align=4
	[ "$3" = plain ] || fixed=$((fixed + 8))
	if [ "$2" = gcm ]; then
		fixed=$((fixed + 8 + 8 + 16))
	else
		fixed=$((fixed + 8 + 16 + 16)) align=16
	fi
	echo $(((${4:-$XI_WAN_MTU} - fixed) / align * align - 2))
}
# pieces LIMIT SIZES: of IPv4 datagrams, all together (RFC 791 section 3.2)
pieces() {
	local limit=$1 first=$((($1 - 20) / 8 * 8)) sum=0 size part
	for part in ${2//,/ }; do
		for ((size = ${part%-*}; size <= ${part#*-}; size++)); do
			sum=$((sum + (size + 28 <= limit ? 1 : 1 + (size + 28 - limit + first - 1) / first)))
		done
	done
	echo $sum
}
count() {
	local part sum=0
	for part in ${1//,/ }; do
		sum=$((sum + ${part#*-} - ${part%-*} + 1))
	done
	echo $sum
}
around() {
	echo $(($1 - 2))-$(($1 + 2))
}

# load OUTER ALG ENCAP: tunnels for both families
loads=0
load() {
	local gw f words=()
	SA_BASE=$((++loads << 12))
	SA_AUTH=
	[ "$2" = gcm ] || SA_AUTH="hmac(sha256)"
	if [ "$3" = udp ]; then
		words=(encap espinudp 4500 4500 "$([ "$1" = 4 ] && echo 0.0.0.0 || echo ::)")
	fi
	for gw in gw1 gw2; do
		{
			echo "xfrm state flush"
			echo "xfrm policy flush"
			for f in 4 6; do
				tunnel_lines $gw "$1" $f "${words[@]}"
			done
		} | load_lines $gw || return 1
	done
}
# what each SA has sent, by the gateway that sends
sent() {
	gwip "$1" ip -s xfrm state | sa_packets "$(tunnel_spi "${1#gw}" "$2" "$3")"
}
sent_is() {
	[ "$(sent "$1" "$2" "$3")" = "$4" ]
}
address() {
	outer_addr "${1#gw}" "$2"
}
# on_wire GW OUTER WHAT: of $XI_TMP/wire.json
on_wire() {
	jq -r ".\"$(address "$1" "$2")\".$3" "$XI_TMP/wire.json"
}

sweep() {
	local outer=$1 alg=$2 encap=$3 name most first cut_sizes f sizes n back drops_before before after
	name="$alg, $encap, IPv$outer outside"
	tap_check "$name: set up" load "$@" || return
	most=$(limit "$@")
	first=$(((most - 20) / 8 * 8))
	drops_before="$(drops gw1) $(drops gw2)"
	# of IPv4 packets: what fits, what makes two and three pieces, what the LAN has at most
	sizes=0-3,$((most - 28 - 100)),$(around $((most - 28))),$(around $((most + first - 28))),3000,$((XI_LAN_MTU - 28))
	n=$(count $sizes)
	capture_start wan br
	tap_is "$name: IPv4 cut before ESP arrives" "$(datagrams 1 4 $sizes)" "$n ok"
	tap_is "$name: IPv4 cut after it arrives" "$(datagrams 2 4 $sizes)" "$n ok"
	capture_stop wan br || tap_not_ok "$name: the capture is complete"
	tests/net/datagrams.py wire "$XI_TMP/wan-br.pcap" > "$XI_TMP/wire.json"
	before=$(($(pieces "$most" $sizes) + n)) after=$((2 * n))
	tap_check "$name: gw1's SA counts each piece, $before" wait_for 3 sent_is gw1 "$outer" 4 $before ||
		tap_comment "$(sent gw1 "$outer" 4)"
	tap_check "$name: gw2's SA counts each datagram, $after" wait_for 3 sent_is gw2 "$outer" 4 $after ||
		tap_comment "$(sent gw2 "$outer" 4)"
	tap_is "$name: each piece is a packet on the wire, none is cut there" \
		"$(on_wire gw1 "$outer" packets) $(on_wire gw1 "$outer" fragments)" "$before 0"
	tap_is "$name: each datagram is a packet, the long ones are cut there" \
		"$(on_wire gw2 "$outer" packets) $(on_wire gw2 "$outer" cut)" "$after $((2 + 5 + 2))"
	tap_is "$name: no identification is used twice, no piece is missing" \
		"$(jq -c '[.[].wrong[]]' "$XI_TMP/wire.json")" "[]"
	tap_check "$name: nothing is longer than the wire" test "$(jq '[.[].longest] | max' "$XI_TMP/wire.json")" -le "$XI_WAN_MTU"
	tap_is "$name: no drop at either gateway" "$(drops gw1) $(drops gw2)" "$drops_before"

	before=$(drops gw1)
	for f in 4 6; do
		back=$((f == 4 ? 28 : 48))
		tap_is "$name: IPv$f, DF: $most bytes pass, more is told that" \
			"$(datagrams 1 $f df "0,1,100,$(around $((most - back))),$((XI_LAN_MTU - back))" | tr '\n' ' ')" \
			"$((most - back + 1)) told $most $((most - back + 2)) told $most $((XI_LAN_MTU - back)) told $most 6 ok "
	done
	tap_is "$name: each that did not pass was counted once" "$(($(drops gw1) - before)) $(reason gw1 too_big)" "6 $((6 * loads))"
	tap_is "$name: a stack that has learned makes pieces that pass" "$(datagrams 1 6 learn 2000,2000,3400 | tail -n 1)" "3 ok"
}
for outer in 4 6; do
	for alg in gcm cbc; do
		for encap in plain udp; do
			sweep $outer $alg $encap
		done
	done
done
tap_done
