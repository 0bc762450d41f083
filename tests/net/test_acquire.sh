#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
#
# Packets that meet a policy without an SA wait for the one that a key manager brings, and so do those that come by an
# SPI that it has allocated, before it brings the SA: none of them is lost, none goes before an earlier one of its flow,
# and what waits is bounded. The key manager is `ip xfrm monitor`, and this script.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/pair.sh
need_root
need_tools tcpdump ping jq


net_up || tap_skip_all "cannot make network namespaces"

# of gw1, unlike pair.sh's
reason() { gwctl gw1 xipsec stats -j | jq -r ".reasons.$1"; }
# since NAME: what was added to a reason since mark
mark() { gwctl gw1 xipsec stats -j > "$XI_TMP/mark"; }
since() { echo $(($(reason "$1") - $(jq -r ".reasons.$1" "$XI_TMP/mark"))); }
at_least() { [ "$(since "$1")" -ge "$2" ]; }
held_now() { gwctl gw1 xipsec show -j | jq -r '.waiting.packets'; }
drops() { gwctl gw1 xipsec stats -j | jq -r .drops; }

# The lines of gw1: SA out (0x1001), the rest
out_line() { tunnel_lines gw1 | grep '^xfrm state.*spi 0x1001 '; }
rest_lines() { tunnel_lines gw1 | grep -v '^xfrm state.*spi 0x1001 '; }
bring_sa() { out_line | load_lines gw1; }
take_sa() { gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001; }

# listen: to ACQUIREs, from now on
listen() {
	[ -z "${xi_pids["bg monitor"]:-}" ] || kill "${xi_pids["bg monitor"]}" 2> /dev/null
	net_bg monitor gw1 env LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" ip -o xfrm monitor acquire
	wait_for 5 listening
}
listening() { gwctl gw1 xipsec show -j | jq -e .waiting.key_manager; }
acquires() { grep -c 'acquire proto' "$XI_TMP/monitor.log"; }

for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
done
tunnel_lines gw2 | load_lines gw2
rest_lines | load_lines gw1
net_bg receiver h2 tests/net/trapped.py receive 7000 "$XI_TMP/ready"
wait_for 5 test -e "$XI_TMP/ready"
capture_start wan br

mark
net_in h1 ping -q -c 3 -i 0.01 -W 0.2 10.1.2.2 > /dev/null
tap_is "nobody listens: nothing waits" "$(since held) $(since no_sa)" "0 3"
tap_check "a key manager listens" listen

mark
net_bg pings h1 ping -q -c 40 -i 0.1 -W 10 10.1.2.2
tap_check "without an SA packets wait" wait_for 10 at_least held 15
tap_check "and are counted" test "$(held_now)" -ge 15
tap_is "none was dropped" "$(since no_sa)" 0
tap_is "the key manager is asked once" "$(acquires)" 1
tap_check "for this flow" grep -E 'sel src 10.1.1.2/32 dst 10.1.2.2/32 proto icmp' "$XI_TMP/monitor.log"
tap_is "which is listed" "$(gwctl gw1 xipsec show -j | jq -r '.acquires[] | [.src, .dst, .proto, .mode, .reqid, .flow.dst] | join(" ")')" \
	"192.0.2.1 192.0.2.2 esp tunnel 4097 10.1.2.2"
tap_check "the SA comes" bring_sa
tap_check "and no packet is lost" wait_for 20 grep -q ' 0% packet loss' "$XI_TMP/pings.log"
tap_is "each that waited has gone" "$(held_now) $(since held_done)" "0 $(since held)"
tap_is "the ACQUIRE is answered" "$(gwctl gw1 xipsec show -j | jq -c .acquires)" "[]"

# many flows, several packets each, in order; then TCP of the gateway itself, and packets that come in fragments
flows=200
# got: what h2 received since fresh
fresh() { from=$(($(wc -l < "$XI_TMP/receiver.log") + 1)); }
got() { tail -n "+$from" "$XI_TMP/receiver.log"; }
received() { [ "$(got | wc -l)" -ge "$1" ]; }
in_order() { got | awk '{ if ($2 != n[$1]++) bad = 1 } END { exit bad }'; }
fresh
tap_check "the SA goes" take_sa
mark
net_in h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 $flows 1
tap_check "$flows flows wait" wait_for 20 at_least held $flows
tap_is "for one ACQUIRE" "$(since acquire_sent)" 1
tap_check "the SA comes again" bring_sa
tap_check "and they all arrive" wait_for 10 received $flows
tap_check "it goes once more" take_sa
mark
net_in h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 4 60
tap_check "60 packets each of 4 flows wait" wait_for 20 at_least held 240
fresh
bring_sa
tap_check "they arrive" wait_for 10 received 240
tap_check "in order" in_order
tap_is "none was lost" "$(since hold_full) $(since hold_timeout) $(since no_sa)" "0 0 0"

tap_check "it goes once more" take_sa
mark
fresh
# it is still sending when the SA comes, on a slow machine as well
pause=$(awk -v slow="${XIPSEC_SLOW:-1}" 'BEGIN { print 0.0005 * slow }')
net_bg sender h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 1 1500 "$pause"
tap_check "a flow that never stops" wait_for 5 at_least hold_full 20
bring_sa
tap_check "its last packet arrives" wait_for 10 grep -qx '0 1499' "$XI_TMP/receiver.log"
ascending() { got | awk 'BEGIN { last = -1 } { if ($2 <= last) bad = 1; last = $2 } END { exit bad }'; }
tap_check "none went before an earlier one" ascending
tap_is "as many were lost as its bound says" "$((1500 - $(got | wc -l)))" "$(since hold_full)"
tap_is "which is 64 at a time" "$(got | sed -n 64p)" "0 63"

net_in gw1 ip route replace 10.1.2.0/24 dev xipsec0 src 10.1.1.1
take_sa
mark
from=$SECONDS
net_bg connect gw1 tests/net/trapped.py connect 10.1.2.2 7000 10
tap_check "a connection of the gateway's own waits" wait_for 20 at_least held 1
bring_sa
took=$((SECONDS - from))
tap_check "and is made" wait_for 10 grep -qx '[0-9]*' "$XI_TMP/connect.log"
tap_check "with its first packet, if that was not sent again meanwhile" test "$(cat "$XI_TMP/connect.log")" -lt $((took + 2))

take_sa
mark
net_bg large h1 ping -q -c 3 -i 0.1 -W 10 -s 4000 10.1.2.2
tap_check "fragments wait" wait_for 20 at_least held 9
bring_sa
tap_check "and arrive" wait_for 10 grep -q ' 0% packet loss' "$XI_TMP/large.log"

v6_lines() { tunnel_lines "$1" 6 6; }
v6_lines gw2 | load_lines gw2
v6_lines gw1 | grep -v 'spi 0x1031 ' | load_lines gw1
mark
net_bg v6 h1 ping -q -c 5 -i 0.1 -W 10 fd00:2::2
tap_check "IPv6 packets wait" wait_for 20 at_least held 3
v6_lines gw1 | grep 'spi 0x1031 ' | load_lines gw1
tap_check "and arrive" wait_for 10 grep -q ' 0% packet loss' "$XI_TMP/v6.log"

# policy changes while packets wait
policy() { gwctl gw1 xipsec xfrm policy "$1" src 10.1.1.0/24 dst 10.1.2.0/24 dir out "${@:2}"; }
trap_tmpl=(tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $((0x1001)) mode tunnel)
net_in gw1 ip route replace 10.1.2.0/24 via 192.0.2.2
waits() { net_in h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 5 1 && wait_for 20 at_least held 5; }
take_sa
mark
tap_check "packets wait" waits
tap_check "policy says block" policy update action block
tap_check "they are dropped" wait_for 5 at_least worker_discard 5
tap_is "and wait no more" "$(held_now) $(since hold_timeout)" "0 0"
tap_check "policy asks for the SA again" policy update "${trap_tmpl[@]}"
mark
tap_check "packets wait" waits
fresh
tap_check "policy is deleted" policy delete
tap_check "they do not go: they were to be protected" wait_for 5 at_least worker_discard 5
tap_is "none was passed" "$(since worker_bypass)" 0
capture_stop wan br
in_clear() { pcap_count "$XI_TMP/wan-br.pcap" "src net 10.1.0.0/16 and not ip proto 50"; }
tap_is "none has left in clear" "$(in_clear)" 0
policy add "${trap_tmpl[@]}"
tap_check "packets wait" waits
mark
tap_check "policy says allow" policy update action allow
tap_check "they go as any other" wait_for 5 at_least worker_bypass 5
policy update "${trap_tmpl[@]}"

# bounds: addresses of a trap at random, beside a tunnel that is up
bring_sa
gwctl gw1 xipsec xfrm policy add src 10.1.1.0/24 dst 10.9.0.0/16 dir out \
	tmpl src 192.0.2.1 dst 192.0.2.99 proto esp reqid 99 mode tunnel
net_in gw1 ip route add 10.9.0.0/16 via 192.0.2.254
mark
# no faster than the worker takes them: what rings cannot hold is lost before anybody looks whose it is
met() { gwctl gw1 xipsec stats -j | jq '.reasons | .held + .hold_full + .rx_full'; }
met_all() { [ "$(met)" -ge "$1" ]; }
spray() {
	local n before
	before=$(met)
	for ((n = 250; n <= $1; n += 250)); do
		net_in h1 tests/net/trapped.py spray 10.1.1.2 10.9 250 && wait_for 5 met_all $((before + n)) || return 1
	done
}
net_bg live h1 ping -q -c 200 -i 0.02 -W 5 10.1.2.2
tap_check "10,000 packets into a trap" spray 10000
tap_check "a quarter of the room is theirs" wait_for 20 at_least held 256
tap_check "live traffic loses nothing" wait_for 15 grep -q ' 0% packet loss' "$XI_TMP/live.log"
tap_is "the rest is dropped, and counted" "$(held_now) $(($(since hold_full) + $(since rx_full)))" "256 9744"
tap_is "one ACQUIRE" "$(since acquire_sent)" 1
take_sa
mark
tap_check "another policy's packets still wait" waits
bring_sa

# 2,000 traps: only so many ACQUIREs are pending at a time
many_traps() {
	local i
	for ((i = 0; i < 2000; i++)); do
		echo "xfrm policy add src 10.1.1.0/24 dst 10.8.$((i / 250)).$((i % 250 + 1))/32 dir out" \
			"tmpl src 192.0.2.1 dst 192.0.2.98 proto esp reqid $((5000 + i)) mode tunnel"
	done | load_lines gw1
}
tap_check "2,000 policies of as many SAs" many_traps
net_in gw1 ip route add 10.8.0.0/16 via 192.0.2.254
mark
net_in h1 /usr/bin/python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(2000):
    s.sendto(b"x", ("10.8.%d.%d" % (i // 250, i % 250 + 1), 9))'
tap_check "ACQUIREs are bounded" wait_for 10 at_least acquire_full 1
# the one of 10.9.0.0/16 is of the 1024, unless its time is over
tap_check "and counted" test "$(since acquire_sent)" -le 1024
tap_check "no more than that are pending" test "$(gwctl gw1 xipsec show -j | jq '.acquires | length')" -le 1024
tap_check "packets that wait, too" test "$(held_now)" -le 1024
gwctl gw1 xipsec xfrm policy delete src 10.1.1.0/24 dst 10.9.0.0/16 dir out

gwctl gw1 xipsec xfrm policy flush

# SPIs that are allocated, and packets ahead of their SAs; the peer is in wan, and sends to gw1 itself
allocate() {
	gwctl gw1 xipsec xfrm state allocspi src 192.0.2.2 dst 192.0.2.1 proto "$1" mode transport reqid 77 \
		min "$2" max "$2" > "$XI_TMP/allocated"
}
# keys PROTO SPI WORDS...: the SA comes
keys() {
	local algs="auth-trunc hmac(sha1) $(pair_key $(($2)) 160) 96"
	[ "$1" = ah ] || algs="enc ecb(cipher_null) \"\" $algs"
	echo "xfrm state update src 192.0.2.2 dst 192.0.2.1 proto $1 spi $2 reqid 77 mode transport replay-window 64 ${*:3} $algs" |
		load_lines gw1
}
# early SPI FROM TO [FLOW [STAGE]]: by ESP of these numbers; each says "FLOW NUMBER"
early() {
	local i key
	key=$(pair_key $(($1)) 160)
	for ((i = $2; i <= $3; i++)); do
		echo "udp 9 7100 ${4:-0}_$i 192.0.2.2 192.0.2.1 | esp $1 $i $key | ${5:+$5 | }ip 192.0.2.2 192.0.2.1"
	done | forge wan
}
arrived() { tr _ ' ' < "$XI_TMP/early.log" | awk -v flow="$1" '$1 == flow { printf "%s%s", sep, $2; sep = " " }'; }
arrived_all() { [ "$(arrived "$1" | wc -w)" -ge "$2" ]; }
net_bg early gw1 tests/net/trapped.py receive 7100 "$XI_TMP/ready2"
wait_for 5 test -e "$XI_TMP/ready2"
mark
tap_check "an SPI is allocated" allocate esp 0x3001
early 0x3001 1 5
tap_check "packets wait for its SA" wait_for 20 at_least held 5
tap_is "none has come through, nor was dropped" "$(arrived 0) $(since unknown_spi)" " 0"
tap_check "the SA comes" keys esp 0x3001
tap_check "so do they" wait_for 5 arrived_all 0 5
early 0x3001 6 7
tap_check "and others" wait_for 5 arrived_all 0 7
tap_is "in order, and each once" "$(arrived 0)" "1 2 3 4 5 6 7"
tap_is "the SA has counted them" "$(gwip gw1 ip -s xfrm state get src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x3001 | sa_packets 0x3001)" 7

mark
allocate esp 0x3002
early 0x3002 1 4 udp "natt 4500 4500"
tap_check "in UDP, too" wait_for 20 at_least held 4
keys esp 0x3002 encap espinudp 4500 4500 0.0.0.0
tap_check "they come through" wait_for 5 arrived_all udp 4
tap_is "in order" "$(arrived udp)" "1 2 3 4"
mark
allocate ah 0x3003
forge wan <<< "udp 9 7100 ah_1 192.0.2.2 192.0.2.1 | ah 0x3003 1 $(pair_key $((0x3003)) 160) | ip 192.0.2.2 192.0.2.1"
tap_check "AH" wait_for 20 at_least held 1
keys ah 0x3003
tap_check "comes through" wait_for 5 arrived_all ah 1
# one packet in two fragments: the ESP header in the first
mark
allocate esp 0x3004
pieces() {
	local key text
	key=$(pair_key $((0x3004)) 160)
	text=piece_1_$(printf 'x%.0s' {1..300})
	/usr/bin/python3 -S - "udp 9 7100 $text 192.0.2.2 192.0.2.1 | esp 0x3004 1 $key | ip 192.0.2.2 192.0.2.1" <<- 'END'
		import sys
		sys.path.insert(0, "tests/net")
		import forge
		esp = forge.build(sys.argv[1])[20:]
		print("raw 50 %s | ip 192.0.2.2 192.0.2.1 more" % esp[:160].hex())
		print("raw 50 %s | ip 192.0.2.2 192.0.2.1 at=160" % esp[160:].hex())
	END
}
pieces | forge wan
tap_check "fragments, when they are whole" wait_for 20 at_least held 1
keys esp 0x3004
tap_check "come through" wait_for 5 arrived_all piece 1

# what waits is verified as anything
mark
allocate esp 0x3005
early 0x3005 1 2 replay
early 0x3005 2 2 replay
echo "udp 9 7100 bad_3 192.0.2.2 192.0.2.1 | esp 0x3005 3 $(pair_key $((0x3005)) 160) bad | ip 192.0.2.2 192.0.2.1" | forge wan
tap_check "a repeated and a forged packet wait" wait_for 20 at_least held 4
keys esp 0x3005
tap_check "are counted" wait_for 5 at_least icv_bad 1
tap_is "and do not come through" "$(arrived replay), $(arrived bad), $(since replay)" "1 2, , 1"

# a flood to one of two SPIs
mark
allocate esp 0x3006
allocate esp 0x3007
early 0x3006 1 200 flood
tap_check "one SPI has its bound" wait_for 5 at_least hold_full 136
early 0x3007 1 64 other
tap_check "and another one its own" wait_for 20 at_least held 128
tap_is "each was counted once" "$(since held) $(since hold_full) $(since unknown_spi)" "128 136 0"
keys esp 0x3006
tap_check "the first ones were kept" wait_for 5 arrived_all flood 64
tap_is "in order" "$(arrived flood)" "$(seq -s ' ' 1 64)"
gone() { gwctl gw1 xipsec xfrm state delete src 192.0.2.2 dst 192.0.2.1 proto esp spi "$1"; }
tap_check "the other SPI is given up" gone 0x3007
tap_check "its packets are dropped, and counted" wait_for 5 at_least sa_gone 64
tap_is "none waits" "$(held_now) $(since held_done)" "0 128"
early 0x3007 65 65 other
tap_check "the SPI is unknown again" wait_for 5 at_least unknown_spi 1
tap_is "nothing of it has come through" "$(arrived other)" ""

allocate esp 0x3008
mark
early 0x3008 1 3 kept
tap_check "packets wait" wait_for 20 at_least held 3
gwctl gw1 xipsec xfrm state flush

# the daemon dies while packets wait; a short time to wait from now on
allocate esp 0x3009
early 0x3009 1 3 kept
rest_lines | load_lines gw1
tap_check "packets wait" waits
kill_daemon gw1
tap_check "killed while packets wait, it starts again" start_daemon gw1 "$(gw_conf gw1)"
mark
early 0x3009 4 6 kept
tap_check "SPIs of before are unknown" wait_for 5 at_least unknown_spi 3
tap_check "and free" allocate esp 0x3009
early 0x3009 7 8 kept
tap_check "packets wait" wait_for 20 at_least held 2
tap_check "the SA comes" keys esp 0x3009
tap_check "so do they" wait_for 5 arrived_all kept 2
tap_is "those alone" "$(arrived kept)" "7 8"
sed -i '/^\[daemon\]/a hold-time = 2' "$XI_TMP/gw1.conf"
tap_check "it ends" stop_daemon gw1
tap_check "and starts" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_is "nothing waits" "$(held_now)" 0
gwctl gw1 xipsec xfrm policy flush
rest_lines | grep policy | load_lines gw1
listen
mark
tap_check "packets wait" waits
bring_sa
fresh
waits_not() { net_in h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 1 1 && wait_for 5 received 1; }
tap_check "and go, and so do others" waits_not

take_sa
mark
all=$(drops)
tap_check "packets wait" waits
tap_check "their time is over" wait_for 10 at_least hold_timeout 5
tap_is "each was dropped once" "$(held_now) $(since held_done) $(since no_sa) $(($(drops) - all))" "0 0 0 5"

mark
allocate esp 0x300b
early 0x300b 1 3 ended
tap_check "packets wait" waits
tap_check "before their SA, too" wait_for 20 at_least held 8
tap_check "it ends while they do" stop_daemon gw1
sed -i 's/^hold-time.*/hold = 0/' "$XI_TMP/gw1.conf"
tap_check "and starts, told to hold nothing" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_is "those were counted" "$(since hold_timeout)" 8
listen
mark
net_in h1 tests/net/trapped.py send 10.1.1.2 10.1.2.2 7000 5 1
tap_check "now packets are dropped at once" wait_for 5 at_least no_sa 5
allocate esp 0x300a
early 0x300a 1 3 none
tap_check "before their SA as well" wait_for 5 at_least unknown_spi 3
tap_is "and none waits" "$(since held)" 0

# The kernel has an SA for each ACQUIRE: so have we. The same policies and packets in a namespace without xipsec
reference() {
	net_add ref && net_in ref ip link add d0 type veth peer name d1 && net_in ref ip link set d1 up &&
		net_in ref ip link set d0 up && net_addr ref d0 192.0.2.1/32 10.1.1.1/32 fd00:1::1/128 &&
		net_in ref ip route add 10.66.0.0/16 dev d0 && net_in ref ip -6 route add fd66::/16 dev d0 &&
		net_in ref ip xfrm policy count
}
both_policy() {
	gwctl gw1 xipsec xfrm policy add "$@" && net_in ref ip xfrm policy add "$@"
}
both_send() {
	local ns
	for ns in gw1 ref; do
		net_in $ns /usr/bin/python3 -c 'import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 7777))
try:
    s.sendto(b"x", (sys.argv[2], 53))
except OSError:
    pass' "$1" "$2"
	done
}
# same ip WORDS...: SAs a line each, in any order; numbers of ACQUIREs, dates and devices aside
plain() { sed -E 's/seq 0x[0-9a-f]+ flag/seq N flag/; s/add 20[0-9-]+ [0-9:]+/add TIME/; s/ dev [a-z0-9]+( |$)/\1/; s/ +$//' | tr '\n\t' '|  ' | sed 's/|$//; s/|src/\nsrc/g' | sort; }
ours() { gwip gw1 "$@" 2>&1 | plain; }
theirs() { net_in ref "$@" 2>&1 | plain; }
same() { tap_is "$1" "$(ours "${@:2}")" "$(theirs "${@:2}")"; }
if reference > "$XI_TMP/reference" 2>&1; then
	gwctl gw1 xipsec xfrm state flush
	gwctl gw1 xipsec xfrm policy flush
	net_in gw1 ip route add 10.66.0.0/16 dev xipsec0
	net_in gw1 ip -6 route add fd66::/16 dev xipsec0
	both_policy src 10.1.1.1 dst 10.66.1.0/24 dir out tmpl src 192.0.2.1 dst 192.0.2.66 proto esp reqid 7 mode tunnel
	both_policy src 10.1.1.1 dst 10.66.2.1 proto udp dir out tmpl proto ah reqid 8 mode transport
	both_policy src fd00:1::/64 dst fd66::/16 dir out tmpl src 192.0.2.1 dst 192.0.2.67 proto esp spi 0x777 mode tunnel
	net_bg theirs ref ip xfrm monitor acquire
	asked() { both_send "$1" "$2" && ours ip xfrm state | grep "$3" && theirs ip xfrm state | grep "$3"; }
	tap_check "an ACQUIRE is an SA, in Linux and here" wait_for 10 asked fd00:1::1 fd66::2 'spi 0x00000777'
	tap_check "another" wait_for 10 asked 10.1.1.1 10.66.1.2 'reqid 7'
	both_send 10.1.1.1 10.66.1.3
	tap_check "and AH's" wait_for 10 asked 10.1.1.1 10.66.2.1 'reqid 8'
	same "they are as Linux's" ip -s xfrm state
	same "filtered as well" ip -s xfrm state list proto ah
	same "without an SPI they cannot be named" ip xfrm state delete src 192.0.2.1 dst 192.0.2.66 proto esp spi 0
	tap_is "they are counted" "$(gwip gw1 ip xfrm state count | grep -o 'SAD count [0-9]*')" "$(net_in ref ip xfrm state count | grep -o 'SAD count [0-9]*')"
	gwip gw1 ip xfrm state flush proto ah
	net_in ref ip xfrm state flush proto ah
	same "a flush takes those of its protocol" ip -s xfrm state
	gwip gw1 ip xfrm state flush
	net_in ref ip xfrm state flush
	same "or all" ip xfrm state
else
	tap_skip "an ACQUIRE is an SA" "this kernel has no policies to compare with"
fi
tap_done
