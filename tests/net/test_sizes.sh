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

# What arrives in pieces: gw1 and a peer whose packets scapy makes. Answers come back in clear, as no policy names them.
net_add peer && net_plug peer p0 192.0.2.3/24 2001:db8::3/64 && net_addr peer lo 10.1.3.2/32 fd00:3::2/128 &&
	net_in peer ip route add 10.1.1.0/24 via 192.0.2.1 && net_in peer ip -6 route add fd00:1::/64 via 2001:db8::1 &&
	net_in gw1 ip route add 10.1.3.0/24 via 192.0.2.3 && net_in gw1 ip -6 route add fd00:3::/64 via 2001:db8::3 ||
	tap_not_ok "a peer"

peer_lines() {
	local kind=$1 outer=$2 spi=$3 key=$4 src=192.0.2.3 dst=192.0.2.1 algs proto=esp dir f
	[ "$outer" = 4 ] || src=2001:db8::3 dst=2001:db8::1
	algs="aead rfc4106(gcm(aes)) $key 128"
	[ "$kind" != ah ] || proto=ah algs="auth-trunc hmac(sha256) $key 128"
	[ "$kind" != udp ] || algs+=" encap espinudp 4500 4500 $([ "$outer" = 4 ] && echo 0.0.0.0 || echo ::)"
	echo "xfrm state flush"
	echo "xfrm policy flush"
	echo "xfrm state add src $src dst $dst proto $proto spi $spi reqid 1 mode tunnel flag af-unspec align4 $algs" |
		sed "$([ "$kind" = ah ] || echo 's/ align4//')"
	for f in 4 6; do
		for dir in in fwd; do
			echo "xfrm policy add src $([ $f = 4 ] && echo 10.1.3.0/24 || echo fd00:3::/64) dst $(inner_net 1 $f) dir $dir" \
				"tmpl src $src dst $dst proto $proto reqid 1 mode tunnel"
		done
	done
}
peer_outer() {
	[ "$1" = 4 ] && echo 192.0.2.3,192.0.2.1 || echo 2001:db8::3,2001:db8::1
}
# pieces_of KIND OUTER SPI KEY INNER CASE...
pieces_of() {
	local kind=$1 outer=$2 spi=$3 key=$4 from=10.1.3.2
	[ "$5" = 4 ] || from=fd00:3::2
	net_in peer tests/net/esp_pieces.py send "$kind" "$(peer_outer "$outer")" "$spi" "$key" $from "$(host 1 "$5")" $PORT "${@:6}" 2>&1
}
fragment_counts() {
	local r out=()
	for r in reassembled fragment_bad fragment_overlap fragment_timeout fragment_full; do
		out+=($(($(reason gw1 $r) - ${counted[$r]:-0})))
	done
	echo "${out[*]}"
}
fragment_counts_are() {
	[ "$(fragment_counts)" = "$1" ]
}
declare -A counted
arrives() {
	local kind=$1 outer=$2 inner=$3 name="$1 in pieces, IPv$2 outside" spi key r before want
	spi=$(printf 0x%x $((++loads << 12)))
	SA_AUTH=
	key=$(sa_key $((spi)))
	[ "$kind" != ah ] || key=0x$(sha256sum <<< "$spi" | cut -c -64)
	tap_check "$name: set up" load_lines gw1 <<< "$(peer_lines "$kind" "$outer" "$spi" "$key")" || return
	for r in reassembled fragment_bad fragment_overlap fragment_timeout fragment_full; do
		counted[$r]=$(reason gw1 $r)
	done
	before=$(drops gw1)
	tap_is "$name: in any order and twice they make a packet, with a hole or an overlap they do not" \
		"$(pieces_of "$kind" "$outer" "$spi" "$key" "$inner" whole ordered reversed twice overlap hole many:100 | tr '\n' ' ')" \
		"whole answered ordered answered reversed answered twice answered overlap silent hole silent many:100 answered "
	# 1300 bytes make three pieces: two repeated; of three that overlap the last is dropped with the others in IPv6 (RFC 5722)
	# and waits for others in IPv4; two wait for one that does not come
	[ "$outer" = 4 ] && want="103 0 4 3 0" || want="103 0 5 2 0"
	tap_check "$name: each piece is counted once" wait_for 5 fragment_counts_are "$want" || tap_comment "$(fragment_counts)"
	tap_is "$name: and nothing else" $(($(drops gw1) - before)) 7
}
for outer in 4 6; do
	for kind in esp udp ah; do
		arrives $kind $outer $((10 - outer))
	done
done
arrives esp 4 4

# First pieces without end, of one sender and of many; pieces of a live SA beside them
spi=$(printf 0x%x $((loads << 12)))
key=$(sa_key $((spi)))
flooded() {
	local what=$1 full held
	shift
	full=$(($(reason gw1 fragment_full) + $(reason gw1 fragment_timeout)))
	net_bg flood peer tests/net/esp_pieces.py flood "$@"
	tap_is "$what: packets in pieces arrive beside it" "$(pieces_of esp 4 "$spi" "$key" 4 many:500)" "many:500 answered"
	kill "${xi_pids["bg flood"]}" 2> /dev/null
	wait "${xi_pids["bg flood"]}" 2> /dev/null
	tap_check "$what: what never became whole was given up" wait_for 5 eval \
		'[ $(($(reason gw1 fragment_full) + $(reason gw1 fragment_timeout))) -gt $((full + 1000)) ]'
}
flooded "a flood of one sender" 192.0.2.9,192.0.2.1 20
flooded "a flood of many senders" 192.0.2.9,192.0.2.1 20 spread
flooded "a flood over IPv6" 2001:db8::9,2001:db8::1 20 spread

# Datagrams in fragments to the host itself, where an SA of UDP encapsulation makes the worker look at them
net_bg answer-ike gw1 tests/net/datagrams.py answer 500,4500 "$XI_TMP/answer-ike"
wait_for 10 test -e "$XI_TMP/answer-ike" || tap_not_ok "gw1 answers as an IKE daemon would"
ike() {
	local f=$1 me=192.0.2.3 gw=192.0.2.1 before
	[ "$f" = 4 ] || me=2001:db8::3 gw=2001:db8::1
	local to="net_in peer tests/net/datagrams.py send"
	spi=$(printf 0x%x $((++loads << 12)))
	{
		peer_lines udp "$f" "$spi" "$(sa_key $((spi)))"
		echo "xfrm policy add src $me dst $gw dir in tmpl proto esp mode transport"
	} | load_lines gw1
	before=$(drops gw1)
	tap_is "IPv$f: IKE in fragments reaches port 500" "$($to $me $gw 500 10,1400,2000,3000)" "4 ok"
	tap_is "IPv$f: and port 4500, behind its marker" "$($to head=00000000 $me $gw 4500 10,1400,2000,3000)" "4 ok"
	tap_is "IPv$f: what looks like the SA is IKE at port 500" "$($to head=${spi#0x} $me $gw 500 2000)" "1 ok"
	tap_is "IPv$f: nothing was dropped" "$(drops gw1)" "$before"
	before=$(reason gw1 worker_clear_in)
	tap_is "IPv$f: other UDP in fragments is cleartext, which policy refuses" "$($to wait=0.5 $me $gw $PORT 2000,3000)" \
		$'2000 lost\n3000 lost\n0 ok'
	tap_is "IPv$f: and was counted" $(($(reason gw1 worker_clear_in) - before)) 2
	before=$(reason gw1 unknown_spi)
	tap_is "IPv$f: ESP in UDP of an unknown SPI is dropped" "$($to wait=0.5 head=00fedcba $me $gw 4500 2000)" $'2000 lost\n0 ok'
	tap_is "IPv$f: and was counted" $(($(reason gw1 unknown_spi) - before)) 1
	echo "xfrm policy delete src $me dst $gw dir in" | load_lines gw1
	tap_is "IPv$f: where policy does not care it arrives" "$($to $me $gw $PORT 2000,3000)" "2 ok"
	tap_is "IPv$f: also when it looks like the SA" "$($to head=$(printf %08x $((spi))) $me $gw $PORT 2000,3000)" "2 ok"
}
ike 4
ike 6

# TFC padding (RFC 4303 section 2.7)
tfc_load() {
	local gw
	SA_BASE=$((++loads << 12))
	SA_AUTH=
	for gw in gw1 gw2; do
		{
			echo "xfrm state flush"
			echo "xfrm policy flush"
			tunnel_lines $gw 4 4 tfcpad "$1"
			tunnel_lines $gw 4 6 tfcpad "$1"
		} | load_lines $gw || return 1
	done
}
tfc() {
	local to=$1 want=$2 f
	tap_check "tfcpad $to: set up" tfc_load "$to" || return
	capture_start wan br
	for f in 4 6; do
		tap_is "tfcpad $to: IPv$f datagrams arrive without the padding" "$(datagrams 1 $f 0-20,100,500,700)" "24 ok"
	done
	capture_stop wan br
	tests/net/datagrams.py wire "$XI_TMP/wan-br.pcap" > "$XI_TMP/wire.json"
	tap_is "tfcpad $to: all packets have one length" "$(on_wire gw1 4 'lengths | @csv') $(on_wire gw2 4 'lengths | @csv')" "$want $want"
}
# RFC 4303 section 2: 20 bytes IPv4, 8 of ESP, 8 of IV, the payload, padding and two bytes, 16 of ICV
tfc 800 $((20 + 8 + 8 + (800 + 2 + 3) / 4 * 4 + 16))
tfc 4000 $XI_WAN_MTU

# A LAN that is narrower than what came out of the tunnel: the stack of the host behind it cuts, or says what fits
load 4 gcm plain
net_in gw2 ip link set dev lan0 mtu 1300
net_in h2 ip link set dev lan0 mtu 1300
lan_hears() {
	datagrams 1 4 df wait=1 1350 | grep -q 'told 1300'
}
tap_check "a narrow LAN: who sets DF hears its MTU" wait_for 5 lan_hears
tap_is "a narrow LAN: other datagrams of all sizes arrive" "$(datagrams 1 4 0,1200-1300,1400,2000,3472)" "105 ok"
tap_is "a narrow LAN: IPv6: the sender hears its MTU" "$(datagrams 1 6 df 1252,1253,1390 | tr '\n' ' ')" \
	"1253 told 1300 1390 told 1300 1 ok "
net_in gw2 ip link set dev lan0 mtu $XI_LAN_MTU
net_in h2 ip link set dev lan0 mtu $XI_LAN_MTU

# 100 errors a second and worker, and one drop for each packet
most=$(limit 4 gcm plain)
next_second() {
	[ "$(printf '%(%s)T' -1)" != "$1" ]
}
for f in 4 6; do
	wait_for 3 next_second "$(printf '%(%s)T' -1)"
	before=$(drops gw1)
	read -r burst _ told _ mtu seconds rest <<< "$(datagrams 1 $f df burst=300 3000 | tr -d ,)"
	tap_is "IPv$f, a burst that does not fit: all are told one MTU or nothing" "$burst $mtu ${rest#seconds}" "300 $most "
	tap_check "IPv$f, a burst that does not fit: at most 100 errors a second" test "$told" -gt 0 -a "$told" -le $((100 * seconds)) ||
		tap_comment "$told in $seconds seconds"
	tap_is "IPv$f, a burst that does not fit: each packet is counted once" $(($(drops gw1) - before)) 300
done
for gw in gw1 gw2; do
	tap_check "$gw stops cleanly" stop_daemon $gw
done
tap_done
