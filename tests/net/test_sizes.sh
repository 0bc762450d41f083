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
	# the first of all finds no next hop; of IPv4 packets: what fits, what makes two and three pieces, what the LAN has at most
	sizes=3000,0-3,$((most - 28 - 100)),$(around $((most - 28))),$(around $((most + first - 28))),$((XI_LAN_MTU - 28))
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

# A path that carries less than 1280 bytes in the tunnel: IPv6 is told 1280 and gets it (RFC 2473 section 7.1).
wan_mtu() {
	local gw
	for gw in gw1 gw2; do
		net_in $gw ip link set dev wan0 mtu "$1"
	done
}
# The worker knows when a datagram that did not pass before does, or the other way round.
hears() {
	datagrams 1 4 df wait=1 "$1" | grep -q "told $2"
}
ah_lines() {
	SA_AUTH="hmac(sha256)" tunnel_lines "$@" | sed 's/proto esp/proto ah/; s/ enc cbc(aes) 0x[0-9a-f]*//'
}
load_ah() {
	local gw
	SA_BASE=$((++loads << 12))
	for gw in gw1 gw2; do
		{
			echo "xfrm state flush"
			echo "xfrm policy flush"
			ah_lines $gw "$1" 4
			ah_lines $gw "$1" 6
		} | load_lines $gw || return 1
	done
}
narrow() {
	local name=$1 outer=$2 before
	shift 2
	name="$name, IPv$outer outside, a path of 1300 bytes"
	tap_check "$name: set up" "$@" || return
	before="$(drops gw1) $(drops gw2)"
	capture_start wan br
	tap_is "$name: every IPv6 packet of 1280 bytes arrives" \
		"$(datagrams 1 6 df 0,1180-1232)" "54 ok"
	tap_is "$name: IPv4 packets of that size as well" "$(datagrams 1 4 1200-1260,3000)" "62 ok"
	tap_is "$name: nothing is dropped" "$(drops gw1) $(drops gw2)" "$before"
	tap_is "$name: an IPv6 sender of more is told 1280" "$(datagrams 1 6 df 1233,1300,3000 | tr '\n' ' ')" \
		"1233 told 1280 1300 told 1280 3000 told 1280 0 ok "
	capture_stop wan br || tap_not_ok "$name: the capture is complete"
	tests/net/datagrams.py wire "$XI_TMP/wan-br.pcap" > "$XI_TMP/wire.json"
	tap_check "$name: nothing is longer than the path" test "$(jq '[.[].longest] | max' "$XI_TMP/wire.json")" -le 1300
	tap_is "$name: identifications are not used twice" "$(jq -c '[.[].wrong[]]' "$XI_TMP/wire.json")" "[]"
}
load 4 gcm plain
wan_mtu 1300
tap_check "the path's new MTU is told" wait_for 5 hears 1400 "$(limit 4 gcm plain 1300)"
for outer in 4 6; do
	narrow "gcm" $outer load $outer gcm plain
	narrow "AH" $outer load_ah $outer
done
load 4 gcm plain
wan_mtu $XI_WAN_MTU
tap_check "the path's old MTU is told" wait_for 5 hears 3000 "$(limit 4 gcm plain)"

# own SOURCE TARGET [OPTION...] SIZES: of gw1's own
own() {
	net_in gw1 tests/net/datagrams.py send "${@:3:$#-3}" "$1" "$2" $PORT "${!#}"
}
tcp_arrives() {
	local listener=$1 to=$2 from=$3
	shift 3
	head -c 300000 /dev/urandom > "$XI_TMP/sent"
	net_bg receiver "$listener" timeout 20 sh -c "nc -$f -l -p 5001 > '$XI_TMP/received'"
	wait_for 5 net_in "$listener" sh -c 'ss -Hltn sport = :5001 | grep -q .' || return 1
	net_in "$from" timeout 20 nc -N "$@" "$to" 5001 < "$XI_TMP/sent" || return 1
	wait_for 5 cmp "$XI_TMP/sent" "$XI_TMP/received"
}
# The host's own traffic: sent into xipsec0 by a route, or caught on its way out of wan0
host_itself() {
	local way=$1 f most back source before
	for f in 4 6; do
		most=$(limit 4 gcm plain) back=$((f == 4 ? 28 : 48))
		source=$(host 1 $f)
		source=${source%2}1
		before="$(drops gw1) $(drops gw2)"
		net_in gw1 ip -$f route flush cache
		[ $f = 6 ] || tap_is "the host itself, $way: IPv$f datagrams of all sizes arrive" \
			"$(own "$source" "$(host 2 $f)" "0-2,$(around $((most - back))),$(around $((2 * most - 24 - back))),2000,3472")" "15 ok"
		tap_is "the host itself, $way: IPv$f, nothing is dropped" "$(drops gw1) $(drops gw2)" "$before"
		tap_is "the host itself, $way: IPv$f, DF: what is too long is told $most" \
			"$(own "$source" "$(host 2 $f)" df "0,$(around $((most - back)))" | tr '\n' ' ')" \
			"$((most - back + 1)) told $most $((most - back + 2)) told $most 4 ok "
		tap_is "the host itself, $way: IPv$f, once learned all sizes pass" \
			"$(own "$source" "$(host 2 $f)" learn "0-2,$(around $((most - back))),2000,3400")" "10 ok"
		tap_check "the host itself, $way: IPv$f, TCP" tcp_arrives h2 "$(host 2 $f)" gw1 -s "$source"
	done
}
host_itself "without a route"
net_in gw1 ip route replace 10.1.2.0/24 dev xipsec0
net_in gw1 ip -6 route replace fd00:2::/64 dev xipsec0
host_itself "by xipsec0"
net_in gw1 ip route replace 10.1.2.0/24 via 192.0.2.2
net_in gw1 ip -6 route replace fd00:2::/64 via 2001:db8::2
for f in 4 6; do
	net_in h1 ip -$f route flush cache
	tap_check "IPv$f: TCP between hosts learns at once" tcp_arrives h2 "$(host 2 $f)" h1
done

# Transport mode: the stack's fragments are put together before ESP, and what comes of it is cut
net_bg answer-gw2 gw2 tests/net/datagrams.py answer $PORT "$XI_TMP/answer-gw2"
net_bg answer-gw1 gw1 tests/net/datagrams.py answer $PORT "$XI_TMP/answer-gw1"
wait_for 10 test -e "$XI_TMP/answer-gw1" -a -e "$XI_TMP/answer-gw2" || tap_not_ok "gateways answer"
transport_lines() {
	local n=${1#gw} f=$2 peer=$((3 - ${1#gw}))
	shift 2
	tunnel_lines "gw$n" "$f" "$f" "$@" | sed "s/mode tunnel/mode transport/; s/flag af-unspec//
		s|policy add src [^ ]* dst [^ ]* dir out|policy add src $(outer_addr "$n" "$f") dst $(outer_addr "$peer" "$f") dir out|
		s|policy add src [^ ]* dst [^ ]* dir in|policy add src $(outer_addr "$peer" "$f") dst $(outer_addr "$n" "$f") dir in|
		/dir fwd/d"
}
load_transport() {
	local gw words=()
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
			transport_lines $gw "$1" "${words[@]}"
		} | load_lines $gw || return 1
	done
}
gw_datagrams() {
	local n=$1 f=$2
	shift 2
	net_in "gw$n" tests/net/datagrams.py send "${@:1:$#-1}" "$(outer_addr "$n" "$f")" "$(outer_addr $((3 - n)) "$f")" $PORT "${!#}"
}
transport() {
	local f=$1 name="transport, $2, $3, IPv$1" most head=$(($1 == 4 ? 20 : 40)) back n sizes before
	back=$((head + 8))
	tap_check "$name: set up" load_transport "$@" || return
	most=$((head + $(limit "$@")))
	before="$(drops gw1) $(drops gw2)"
	# the stack makes fragments of what is longer than 1500 bytes
	sizes=3000,0-2,1473,2000,3500,1600,2900-2960,3600
	[ "$f" = 6 ] || sizes+=,$((XI_WAN_MTU - back)),$(around $((most - back)))
	n=$(count $sizes)
	capture_start wan br
	tap_is "$name: datagrams of all sizes, gw1 to gw2" "$(gw_datagrams 1 "$f" $sizes)" "$n ok"
	capture_stop wan br || tap_not_ok "$name: the capture is complete"
	tests/net/datagrams.py wire "$XI_TMP/wan-br.pcap" > "$XI_TMP/wire.json"
	tap_is "$name: the SA counts datagrams, not fragments" "$(sent gw1 "$f" "$f")" $n
	tap_is "$name: each is one packet of ESP" "$(on_wire gw1 "$f" packets)" $n
	tap_is "$name: nothing is dropped" "$(drops gw1) $(drops gw2)" "$before"
	tap_is "$name: identifications are not used twice" "$(jq -c '[.[].wrong[]]' "$XI_TMP/wire.json")" "[]"
	# what the stack learns by it is not the path's MTU
	for before in once again; do
		net_in gw2 ip route replace 203.0.113.0/24 via 192.0.2.254
		net_in gw2 ip route del 203.0.113.0/24
		net_in gw2 ip -6 route replace 2001:db8:9::/64 via 2001:db8::fe
		net_in gw2 ip -6 route del 2001:db8:9::/64
		tap_is "$name: DF, $before: $most bytes pass, more is told that" \
			"$(gw_datagrams 2 "$f" df "0,$(around $((most - back)))" | tr '\n' ' ')" \
			"$((most - back + 1)) told $most $((most - back + 2)) told $most 4 ok "
	done
	before=$(drops gw1)
	tap_is "$name: what no frame holds is dropped" "$(gw_datagrams 1 "$f" wait=0.3 3900,5000,9000 | tr '\n' ' ')" \
		"3900 lost 5000 lost 9000 lost 0 ok "
	tap_check "$name: and counted" test "$(drops gw1)" -gt "$before"
	tap_is "$name: others pass after it" "$(gw_datagrams 1 "$f" 3000,100)" "2 ok"
}
for f in 4 6; do
	for encap in plain udp; do
		transport $f gcm $encap
	done
	transport $f cbc plain
done
tap_done
