#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two SAs over one packet, from policies of two templates, between two hosts:
#   10.8.1.1, fd08:1::1   gw1 192.0.2.1 === 192.0.2.2 gw2   10.8.2.1, fd08:2::1
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools tcpdump ping jq nc

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for n in 1 2; do
	net_addr gw$n lo 10.8.$n.1/32 fd08:$n::1/128
	net_in gw$n ip route add 10.8.$((3 - n)).0/24 via 192.0.2.$((3 - n)) src 10.8.$n.1
	net_in gw$n ip -6 route add fd08:$((3 - n))::/64 via 2001:db8::$((3 - n)) src fd08:$n::1
	tap_check "gw$n starts" start_daemon gw$n || tap_done
done

in4=(10.8.1.1 10.8.2.1) in6=(fd08:1::1 fd08:2::1)
# layer_state N MODE ALGORITHMS SPI A B: N: who sends
layer_state() {
	pair_state "$5" "$6" "$4" "$3" reqid $((9 + ($4 & 0xf0))) mode "$2" replay-window 64 flag af-unspec
}
# bundle_lines INNER OUTER FAMILY: transport mode between the hosts, in a tunnel between the gateways. SPIs 0x101 and 0x111
# are what gw1 sends by, 0x102 and 0x112 gw2
bundle_lines() {
	local ends=("${in4[@]}") gws=(192.0.2.1 192.0.2.2) any=0.0.0.0 n a
	[ "$3" = 4 ] || ends=("${in6[@]}") any=::
	for n in 1 2; do
		a=$((n - 1))
		layer_state $n transport "$1" $((0x100 + n)) "${ends[a]}" "${ends[1 - a]}" | sed 's/ flag af-unspec//'
		layer_state $n tunnel "$2" $((0x110 + n)) ${gws[a]} ${gws[1 - a]}
		echo "$n src ${ends[a]} dst ${ends[1 - a]} tmpl src $any dst $any proto ${1%% *} reqid 9 mode transport" \
			"tmpl src ${gws[a]} dst ${gws[1 - a]} proto ${2%% *} reqid 25 mode tunnel"
	done
}
# around_lines FIRST SECOND: a tunnel between the gateways, and transport mode around that
around_lines() {
	local gws=(192.0.2.1 192.0.2.2) n a
	for n in 1 2; do
		a=$((n - 1))
		layer_state $n tunnel "$1" $((0x100 + n)) ${gws[a]} ${gws[1 - a]}
		layer_state $n transport "$2" $((0x110 + n)) ${gws[a]} ${gws[1 - a]}
		echo "$n src ${in4[a]} dst ${in4[1 - a]} tmpl src ${gws[a]} dst ${gws[1 - a]} proto ${1%% *} reqid 9 mode tunnel" \
			"tmpl src 0.0.0.0 dst 0.0.0.0 proto ${2%% *} reqid 25 mode transport"
	done
}
# both_lines FIRST SECOND: two SAs in transport mode
both_lines() {
	local n a
	for n in 1 2; do
		a=$((n - 1))
		layer_state $n transport "$1" $((0x100 + n)) "${in4[a]}" "${in4[1 - a]}"
		layer_state $n transport "$2" $((0x110 + n)) "${in4[a]}" "${in4[1 - a]}"
		echo "$n src ${in4[a]} dst ${in4[1 - a]} tmpl src 0.0.0.0 dst 0.0.0.0 proto ${1%% *} reqid 9 mode transport" \
			"tmpl src 0.0.0.0 dst 0.0.0.0 proto ${2%% *} reqid 25 mode transport"
	done
}
load() {
	pair_flush && "$@" > "$XI_TMP/lines" && pair_load < "$XI_TMP/lines"
}
counted() {
	local gw spi
	for gw in gw1 gw2; do
		gwip $gw ip -s xfrm state > "$XI_TMP/states"
		for spi in 0x101 0x102 0x111 0x112; do
			[ "$(sa_packets $spi < "$XI_TMP/states")" = "$1" ] || return 1
		done
	done
}
# on_wire PROTOCOL: every packet between the gateways has that on the outside
on_wire() {
	local n all
	n=$(pcap_count "$XI_TMP/wan-br.pcap" "ip proto $1 and net 192.0.2.0/24")
	all=$(pcap_count "$XI_TMP/wan-br.pcap" "not ($XI_LINK_FILTER)")
	[ "$n" = "$all" ] && [ "$n" -gt 0 ] || { echo "$n of $all"; return 1; }
}
# carries NAME TO PROTOCOL: pings, TCP
carries() {
	XI_SNAPLEN=96 capture_start wan br
	tap_check "$1: ping" pings gw1 "$2" 10
	tap_check "$1: each of the four SAs counts ten packets, at both ends" wait_for 5 counted 10
	tap_check "$1: TCP" tcp_to gw1 gw2 "$2" 1000000
	tap_check "$1: TCP the other way" tcp_to gw2 gw1 "${2/2/1}" 1000000
	capture_stop wan br
	tap_check "$1: the outer protocol is all that is on the wire" on_wire "$3"
	tap_is "$1: no drops but what tells a sender the path MTU" "$(lost gw1) $(lost gw2)" "0 0"
}
lost() {
	echo $(($(drops "$1") - $(reason "$1" too_big)))
}

for pair in "ESP GCM ESP CBC" "AH AH ESP GCM" "ESP GCM AH AH"; do
	read -r inner ialg outer oalg <<< "$pair"
	for f in 4 6; do
		to=10.8.2.1
		[ $f = 4 ] || to=fd08:2::1
		tap_check "$inner in $outer, IPv$f" load bundle_lines "${!ialg}" "${!oalg}" $f
		carries "$inner in $outer, IPv$f" $to "$([ $outer = AH ] && echo 51 || echo 50)"
	done
done
tap_check "tunnel first, transport around it" load around_lines "$GCM" "$AH"
carries "ESP tunnel in AH transport" 10.8.2.1 51
tap_check "tunnel first, transport around it, both ESP" load around_lines "$GCM" "$CBC"
carries "ESP tunnel in ESP transport" 10.8.2.1 50
tap_check "both in transport mode" load both_lines "$GCM" "$AH"
tap_check "ESP transport in AH transport: ping" pings gw1 10.8.2.1 10
tap_check "ESP transport in AH transport: counters" wait_for 5 counted 10

# the receive record
load bundle_lines "$NULL" "$NULL" 4
handle=$(gwctl gw2 xipsec show -j | jq -r '.sas[] | select(.spi == "0x00000101").handle')
capture_start gw2 xipsec0
pings gw1 10.8.2.1 1 > /dev/null
capture_stop gw2 xipsec0
tap_is "the receive record: the innermost SA, CRYPTO_DONE and NEXT_CRYPTO_DONE" \
	"$(pcap_list "$XI_TMP/gw2-xipsec0.pcap" -e 'icmp[0] = 8' | awk '{ print $2 }')" \
	"02:30$(sed 's/^0x//; s/../:&/g' <<< "$handle")"

# whose ICV was wrong
TEXT="udp 9 9 x 10.8.1.1 10.8.2.1"
INNER="ip 10.8.1.1 10.8.2.1" OUTER="ip 192.0.2.1 192.0.2.2"
k1=$(pair_key 0x101 160) k2=$(pair_key 0x111 160)
net_in wan ip route add 10.8.2.0/24 via 192.0.2.2
# outcomes NAME LINE REASON...: one more of each
outcomes() {
	local name=$1 line=$2 r before=
	shift 2
	for r; do before+=" $(($(reason gw2 "$r") + 1))"; done
	forge wan <<< "$line"
	wait_for 3 reason_is gw2 "$1" "${before##* }"
	for r; do before+=" $(reason gw2 "$r")"; done
	# shellcheck disable=SC2086
	set -- $before
	tap_is "$name" "${*:$# / 2 + 1}" "${*:1:$# / 2}"
}
outcomes "both good: two successes" "$TEXT | esp 0x101 100 $k1 | $INNER | esp 0x111 100 $k2 | $OUTER" tx_host
outcomes "a wrong ICV inside is the transport SA's; the tunnel SA's was right" \
	"$TEXT | esp 0x101 101 $k1 bad | $INNER | esp 0x111 101 $k2 | $OUTER" \
	crypto_transport_esp_auth_failed crypto_success icv_bad
outcomes "a wrong one outside is the tunnel SA's" \
	"$TEXT | esp 0x101 102 $k1 | $INNER | esp 0x111 102 $k2 bad | $OUTER" crypto_tunnel_esp_auth_failed icv_bad
outcomes "without the transport SA it is refused" "$TEXT | $INNER | esp 0x111 103 $k2 | $OUTER" in_policy
outcomes "without the tunnel SA, too" "$TEXT | esp 0x101 104 $k1 | $INNER" in_policy
# three are one more than policy can ask for
outcomes "a third one around the others is not taken off" \
	"$TEXT | esp 0x101 105 $k1 | $INNER | esp 0x111 105 $k2 | $OUTER | esp 0x111 106 $k2 | $OUTER" in_policy
outcomes "inside, what gw2 itself sends by its own SA: not taken off" \
	"$TEXT | esp 0x112 107 $(pair_key 0x112 160) | ip 192.0.2.2 192.0.2.1 | esp 0x111 107 $k2 | $OUTER" crypto_success in_policy

# one SA of the pair is gone
gone() {
	gwctl "$1" xipsec xfrm state delete src "$2" dst "$3" proto esp spi "$4"
}
nothing_leaves() {
	capture_start wan br
	more gw1 held 2 no_ping gw1 10.8.2.1 || return 1
	capture_stop wan br
	[ "$(pcap_count "$XI_TMP/wan-br.pcap" "not ($XI_LINK_FILTER)")" = 0 ] || pcap_list "$XI_TMP/wan-br.pcap"
}
none_waits() {
	gwctl gw1 xipsec stats -j | jq -e '.waiting.packets == 0 and .reasons.held == .reasons.held_done'
}
# asked SRC: the template that lacks its SA comes first in an ACQUIRE
asked() {
	awk '/^acquire/ { now = 1 } now && $1 == "tmpl" { print $3; exit }' "$XI_TMP/monitor-gw1.log" | grep -x "$1"
}
for spi in 0x101 0x111; do
	load bundle_lines "$NULL" "$NULL" 4
	ends=(10.8.1.1 10.8.2.1)
	[ $spi = 0x101 ] || ends=(192.0.2.1 192.0.2.2)
	pings gw1 10.8.2.1 2 > /dev/null
	monitor_start gw1
	gone gw1 "${ends[@]}" $spi
	tap_check "SA $spi deleted at the sender: nothing half protected leaves" nothing_leaves
	tap_check "the key manager is asked for that one" wait_for 5 asked "$([ $spi = 0x101 ] && echo 0.0.0.0 || echo 192.0.2.1)"
	kill "${xi_pids["bg monitor-gw1"]}"
	pair_state "${ends[@]}" $spi "$NULL" reqid $((9 + (spi & 0xf0))) replay-window 64 \
		mode "$([ $spi = 0x101 ] && echo transport || echo "tunnel flag af-unspec")" |
		sed "s/^state/xfrm state add/; s/@160/$(pair_key $spi 160)/" > "$XI_TMP/one"
	sed "s/spi $spi/spi $((spi + 0x1000))/; s/0x[0-9a-f]\{40\}/$(pair_key $((spi + 0x1000)) 160)/" "$XI_TMP/one" \
		> "$XI_TMP/new"
	load_new() {
		gwctl gw2 xipsec run ip -batch "$XI_TMP/new" && gwctl gw1 xipsec run ip -batch "$XI_TMP/new"
	}
	tap_check "a new one in its place" load_new
	tap_check "those that wait for it go" wait_for 5 none_waits
	tap_check "it serves at once" pings gw1 10.8.2.1 3
	gone gw2 "${ends[@]}" $((spi + 0x1000))
	tap_check "deleted at the receiver: it is not let in" more gw2 "$([ $spi = 0x101 ] && echo in_policy || echo unknown_spi)" 2 \
		no_ping gw1 10.8.2.1
done
tap_done
