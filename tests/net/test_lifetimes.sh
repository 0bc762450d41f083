#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Lifetimes: `limit` of ip xfrm state, told by EXPIRE once each; sequence numbers that run out. Pairs of addresses, each
# with SAs of its own in transport mode:
#
#   10.8.1.N   gw1 192.0.2.1 === 192.0.2.2 gw2   10.8.2.N      SPI 0x11NN there, 0x12NN back
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools tcpdump jq

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for n in 1 2; do
	for i in 1 2 3 4 5 6 7 8; do
		net_addr gw$n lo 10.8.$n.$i/32
	done
	net_in gw$n ip route add 10.8.$((3 - n)).0/24 via 192.0.2.$((3 - n))
	# what an SA does not carry any more is dropped, not held for the next one
	conf=$(gw_conf gw$n)
	sed -i '/^\[daemon\]/a hold = 0' "$conf"
	tap_check "gw$n starts" start_daemon gw$n "$conf" || tap_done
	monitor_start gw$n
done

# pair N WORDS: SAs of pair N; WORDS for that of gw1 -> gw2, at both ends
pair() {
	pair_state 10.8.1.$1 10.8.2.$1 0x110$1 "$GCM" reqid $1 mode transport "${@:2}"
	pair_state 10.8.2.$1 10.8.1.$1 0x120$1 "$GCM" reqid $1 mode transport
}
# expired GW SPI: what was told of it, in order
expired() {
	awk -v want="$(printf '0x%08x' "$2")" '
		/^Expired/ { told = 1; next }
		/^[^ \t]/ { told = 0 }
		told && match($0, /spi 0x[0-9a-f]+/) { spi = substr($0, RSTART + 4, RLENGTH - 4) }
		told && match($0, /hard [01]/) { if (spi == want) printf "%s", substr($0, RSTART + 5, 1) }' "$XI_TMP/monitor-$1.log"
}
expired_is() {
	[ "$(expired "$1" "$2")" = "$3" ]
}
# a machine that is busy may see the hard limit before anybody looks
soft_told() {
	[[ $(expired "$1" "$2") == 0* ]]
}
# send N COUNT: one packet after the other, each on the wire before the next
send() {
	local i
	for ((i = 0; i < $2; i++)); do
		net_in gw1 /usr/bin/python3 -IS -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.sendto(bytes(56), (sys.argv[2], 9))' 10.8.1.$1 10.8.2.$1
	done
}
on_wire() {
	pcap_list "$XI_TMP/wan-br.pcap" esp | grep -c "spi=$(printf '0x%08x' "$1")"
}
gone() {
	! gwip "$1" ip xfrm state | grep -q "spi $(printf '0x%08x' "$2")"
}

{
	pair 1 limit packet-soft 3 limit packet-hard 6
	pair 2 limit byte-soft 300 limit byte-hard 600
	pair 3 limit time-soft 2 limit time-hard 4
	pair 4 limit time-use-soft 1 limit time-use-hard 3
	pair 5 limit packet-hard 4
	pair 8
	for n in 1 2; do
		echo "$n src 10.8.$n.0/24 dst 10.8.$((3 - n)).0/24 tmpl src 0.0.0.0 dst 0.0.0.0 proto esp mode transport"
	done
} > "$XI_TMP/lines"
capture_start wan br
tap_check "SAs and policies" pair_load < "$XI_TMP/lines"

send 1 2
tap_is "packets: two, and no event" "$(expired gw1 0x1101)" ""
send 1 1
tap_check "packets: the third, the soft limit is told" wait_for 3 expired_is gw1 0x1101 0
tap_check "packets: at the receiver, too" wait_for 3 expired_is gw2 0x1101 0
send 1 2
tap_is "packets: and only once" "$(expired gw1 0x1101) $(expired gw2 0x1101)" "0 0"
send 1 1
tap_check "packets: the sixth, the hard limit is told" wait_for 3 expired_is gw1 0x1101 01
tap_check "packets: at the receiver, too" wait_for 3 expired_is gw2 0x1101 01
for gw in gw1 gw2; do
	tap_check "packets: $gw: the other direction's SA goes with it" wait_for 3 expired_is $gw 0x1201 1
	tap_check "packets: $gw: both are gone" eval "gone $gw 0x1101 && gone $gw 0x1201"
done
tap_check "packets: then nothing goes" more gw1 no_sa 3 send 1 3

# in transport mode what is behind the IP header counts: 64 bytes a packet; the last one begins below the limit
send 2 4
tap_is "bytes: 256, and no event" "$(expired gw1 0x1102)" ""
send 2 1
tap_check "bytes: 320, the soft limit is told" wait_for 3 expired_is gw1 0x1102 0
send 2 5
tap_check "bytes: 640, the hard limit is told" wait_for 3 expired_is gw1 0x1102 01
tap_check "bytes: at the receiver, too" wait_for 3 expired_is gw2 0x1102 01
tap_check "bytes: the other direction's SA goes with it" wait_for 3 expired_is gw1 0x1202 1
tap_check "bytes: then nothing goes" more gw1 no_sa 2 send 2 2

# many at once
send_many() {
	net_in gw1 /usr/bin/python3 -IS -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.8.1.5", 0))
for i in range(50):
    s.sendto(bytes(56), ("10.8.2.5", 9))'
}
send_many
tap_check "hard limit without soft, many packets at once: told" wait_for 3 expired_is gw1 0x1105 1
tap_check "at the receiver, too" wait_for 3 expired_is gw2 0x1105 1

tap_is "first use: not used, no event" "$(expired gw1 0x1104)" ""
send 4 1
for gw in gw1 gw2; do
	tap_check "$gw: time, soft limit" wait_for 6 soft_told $gw 0x1103
	tap_check "$gw: first use, soft limit" wait_for 6 soft_told $gw 0x1104
done
for gw in gw1 gw2; do
	tap_check "$gw: time, soft and hard limit, once each" wait_for 8 expired_is $gw 0x1103 01
	tap_check "$gw: first use, soft and hard limit, once each" wait_for 8 expired_is $gw 0x1104 01
	tap_check "$gw: the other direction's SAs go with them" eval "wait_for 3 expired_is $gw 0x1203 1 && wait_for 3 expired_is $gw 0x1204 1"
done

# no number twice: three are left
{
	pair 6
	pair 7 flag esn replay-window 64
} | pair_load
numbers() {
	gwctl gw1 xipsec xfrm state delete src 10.8.1.$1 dst 10.8.2.$1 proto esp spi 0x110$1
	pair_state 10.8.1.$1 10.8.2.$1 0x110$1 "$GCM" reqid $1 mode transport "${@:2}" |
		sed "s/^state/xfrm state add/; s/@160/$(pair_key 0x210$1 160)/" | gwctl gw1 xipsec run ip -batch -
}
tap_check "an SA near its last number" numbers 6 replay-oseq 0xfffffffc
tap_check "one with ESN" numbers 7 flag esn replay-window 64 replay-oseq 0xfffffffc replay-oseq-hi 0xffffffff
exhausted() {
	local before
	before=$(($(reason gw1 seq_exhausted) + $(reason gw1 no_sa)))
	send $1 6
	wait_for 3 eval "[ \$((\$(reason gw1 seq_exhausted) + \$(reason gw1 no_sa))) = $((before + 3)) ]"
}
for n in 6 7; do
	name="32-bit numbers"
	[ $n = 6 ] || name="64-bit numbers"
	tap_check "$name: that they come to their end is told" wait_for 3 expired_is gw1 0x110$n 0
	tap_check "$name: of six packets three are dropped" exhausted $n
	tap_check "$name: and that they are at it" wait_for 5 expired_is gw1 0x110$n 01
	tap_check "$name: the other direction's SA goes with it" wait_for 3 expired_is gw1 0x120$n 1
done
tap_check "drops were counted by their name" test "$(reason gw1 seq_exhausted)" -ge 1
# a receiver whose sender has no limit
pair 5 | sed 's/0x1\([12]\)05/0x3\105/' | pair_load
gwctl gw2 xipsec xfrm state update src 10.8.1.5 dst 10.8.2.5 proto esp spi 0x3105 reqid 5 mode transport \
	aead 'rfc4106(gcm(aes))' "$(pair_key 0x3105 160)" 128 limit packet-hard 7
serve_udp udp gw2 9
send_many
tap_check "the receiver's limit alone: told" wait_for 3 expired_is gw2 0x3105 1
tap_check "it drops the rest" wait_for 3 eval '[ $(($(reason gw2 sa_expired) + $(reason gw2 unknown_spi))) -ge 43 ]'
tap_is "exactly as many came in" "$(grep -vc ready "$XI_TMP/udp.log")" 7
kill "${xi_pids["bg udp"]}"
# bytes, of packets that come together
pair 5 limit byte-hard 600 | sed 's/0x1\([12]\)05/0x4\105/' | pair_load
send_many
tap_check "a limit of bytes, many packets at once: told" wait_for 3 expired_is gw1 0x4105 1

send 8 3
tap_is "SAs without limits hear of nothing" "$(expired gw1 0x1108)$(expired gw2 0x1108)$(expired gw1 0x1208)$(expired gw2 0x1208)" ""
tap_check "and carry on" eval '[ "$(gwip gw1 ip -s xfrm state | sa_packets 0x1108)" = 3 ]'
tap_is "in all that time the sender told nothing twice" \
	"$(for n in 1 2 3 4 5 6 7; do expired gw1 0x110$n; echo -n " "; expired gw1 0x120$n; echo -n " "; done)" \
	"01 1 01 1 01 1 01 1 1 1 01 1 01 1 "
capture_stop wan br
tap_is "exactly as many packets were on the wire as the limits allow" "$(on_wire 0x1101) $(on_wire 0x1102) $(on_wire 0x1105) $(on_wire 0x4105)" "6 10 4 10"
tap_is "and as there were numbers" "$(on_wire 0x1106) $(on_wire 0x1107)" "3 3"
for n in 6 7; do
	tap_is "no number twice, SPI 0x110$n" "$(pcap_list "$XI_TMP/wan-br.pcap" esp | grep "spi=0x0000110$n" | grep -o 'seq=0x[0-9a-f]*' | xargs)" \
		"seq=0xfffffffd seq=0xfffffffe seq=0xffffffff"
done
tap_done
