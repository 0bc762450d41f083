#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# ESP in UDP (RFC 3948) through a NAT that changes addresses and ports.
#
#    10.8.1.1                                                             10.8.2.1
#      gw1 192.168.1.1 --- 192.168.1.254 nat 192.0.2.9 === wan === 192.0.2.2 gw2
#          fd00:9::1       fd00:9::fe        2001:db8::9           2001:db8::2
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools ip jq nft nc ping tcpdump

up() {
	net_up wan gw2 && net_add gw1 nat && net_plug nat out 192.0.2.9/24 2001:db8::9/64 &&
		net_veth gw1 wan0 nat in "$XI_WAN_MTU" &&
		net_addr gw1 wan0 192.168.1.1/24 fd00:9::1/64 && net_addr nat in 192.168.1.254/24 fd00:9::fe/64 &&
		net_in gw1 ip route add default via 192.168.1.254 && net_in gw1 ip -6 route add default via fd00:9::fe &&
		net_in gw2 ip route add 10.8.1.0/24 via 192.0.2.9 &&
		net_addr gw1 lo 10.8.1.1/32 && net_addr gw2 lo 10.8.2.1/32
}
# maps RANGE: to these ports, from now on
maps() {
	net_in nat nft -f - <<- END
		table inet nat
		delete table inet nat
		table inet nat {
			chain post {
				type nat hook postrouting priority 100
				oif out meta l4proto udp masquerade to :$1
				oif out masquerade
			}
		}
	END
}
up || tap_skip_all "cannot make network namespaces"
maps 20000-20099 || tap_skip_all "this kernel has no NAT"
for gw in gw1 gw2; do
	tap_check "$gw starts" start_daemon $gw || tap_done
done
monitor_start gw2

# nat_lines 1|2 MODE FAMILY ALGORITHMS PORT PEER-PORT MAPPED: SAs and policies as gw1 or gw2 sees them
nat_lines() {
	local us=192.168.1.1 mapped=192.0.2.9 them=192.0.2.2 any=0.0.0.0 port=$5 ends tmpl n dir flag=
	[ "$3" = 4 ] || us=fd00:9::1 mapped=2001:db8::9 them=2001:db8::2 any=::
	[ "$1" = 1 ] || { us=$mapped port=$7; }
	ends=("$us" "$them")
	[ "$2" = transport ] || flag="flag af-unspec"
	pair_state "$us" "$them" 0x101 "$4" reqid 1 mode "$2" replay-window 32 $flag encap espinudp "$port" "$6" $any
	pair_state "$them" "$us" 0x102 "$4" reqid 1 mode "$2" replay-window 32 $flag encap espinudp "$6" "$port" $any
	for n in 1 2; do
		tmpl="tmpl src $us dst $them proto esp reqid 1 mode $2"
		[ "$2" = transport ] || ends=(10.8.1.1 10.8.2.1)
		if [ $n = 2 ]; then
			tmpl="tmpl src $them dst $us proto esp reqid 1 mode $2"
			ends=("${ends[1]}" "${ends[0]}")
		fi
		dir=in
		[ $n != "$1" ] || dir=out
		echo "policy src ${ends[0]} dst ${ends[1]} dir $dir $tmpl"
	done
}
nat_batch() {
	local n=$1 verb=$2
	shift 2
	nat_lines "$n" "$@" | while read -r first rest; do
		[ "$first" = policy ] || pair_fill
		echo "xfrm $first $verb $rest"
	done
}
# nat_load MODE FAMILY ALGORITHMS PORT PEER-PORT: gw2 has been told of the port that gw1 knows
nat_load() {
	local n
	pair_flush || return 1
	for n in 1 2; do
		nat_batch $n add "$@" "$4" | gwctl gw$n xipsec run ip -batch - || return 1
	done
	set_up=("$@")
}
# what gw2's key manager does when the peer has moved
follow() {
	nat_batch 2 update "${set_up[@]}" "$(mapped)" | gwctl gw2 xipsec run ip -batch -
}
mappings() {
	grep '^Mapping change' "$XI_TMP/monitor-gw2.log"
}
mapped() {
	mappings | tail -n 1 | sed 's/.*://'
}
mappings_are() {
	[ "$(mappings | wc -l)" = "$1" ]
}
# one packet from behind the NAT; it may be lost, if the answer goes to the old port
knock() {
	net_in gw1 ping -q -c 1 -W 0.05 "$@" > /dev/null
	:
}
# moves NAME RANGE KNOCK...: one more MAPPING, to that range, of many packets
moves() {
	local name=$1 range=$2 n i
	shift 2
	n=$(mappings | wc -l)
	for i in 1 2 3; do knock "$@"; done
	tap_check "$name: the new port is told" wait_for 5 mappings_are $((n + 1))
	tap_is "$name: one that the NAT chose" "$(mapped | grep -c "^$range")" 1
	for i in 1 2; do knock "$@"; done
	tap_is "$name: once" "$(mappings | wc -l)" $((n + 1))
	tap_check "$name: the key manager follows" follow
}
# seen_in LABEL TEXT: a datagram came to that server
seen_in() {
	grep -F -- "$2" "$XI_TMP/$1.log"
}

I="-I 10.8.1.1 10.8.2.1"
tap_check "tunnel, IPv4" nat_load tunnel 4 "$NULL" 4500 4500
# shellcheck disable=SC2086
{
	moves "tunnel" 200 $I
	tap_check "tunnel: ping from behind the NAT" pings gw1 10.8.2.1 10 -I 10.8.1.1
	tap_check "tunnel: ping to behind the NAT" pings gw2 10.8.1.1 10 -I 10.8.2.1
}

# who else may say where the peer is
n=$(mappings | wc -l) counted=$(reason gw2 mapping) key=$(pair_key 0x101 160)
top=$(gwctl gw2 xipsec show -j | jq '.sas[] | select(.spi == "0x00000101").top')
ECHO="icmp 0 0 x | ip 10.8.1.1 10.8.2.1"
bad_icv() {
	forge wan <<< "$ECHO | esp 0x101 $((top + 1)) $key bad | natt 999 4500 | ip 192.0.2.9 192.0.2.2"
}
replayed() {
	forge wan <<< "$ECHO | esp 0x101 $top $key | natt 998 4500 | ip 192.0.2.9 192.0.2.2"
}
elsewhere() {
	local i
	for i in 1 2 3; do
		echo "$ECHO | esp 0x101 $((top + i)) $key | natt 777 4500 | ip 192.0.2.77 192.0.2.2"
	done | forge wan
}
tap_check "a wrong ICV from another port is dropped" more gw2 icv_bad 1 bad_icv
tap_check "a replayed packet from another port is dropped" more gw2 replay 1 replayed
tap_is "neither is told" "$(mappings | wc -l) $(reason gw2 mapping)" "$n $counted"
tap_check "three verified packets from another address are counted" more gw2 mapping 3 elsewhere
tap_check "and told once" wait_for 5 mappings_are $((n + 1))
tap_is "with that address and port" "$(mappings | tail -n 1 | sed 's/.*-> //')" 192.0.2.77:777
# those were the numbers of packets to come
for i in 1 2 3; do
	# shellcheck disable=SC2086
	knock $I
done
tap_check "nobody has followed: the peer is where it was" pings gw2 10.8.1.1 5 -I 10.8.2.1
tap_is "the old place is no news" "$(mappings | wc -l)" $((n + 1))

# what belongs to IKE, on that port
ike() {
	local port=$1
	serve_udp "ike$port" gw2 "$port"
	send_udp gw1 192.0.2.2 "$port" '\x00\x00\x00\x00ike' "$2"
	send_udp gw1 192.0.2.2 "$port" '\xff' "$2"
	send_udp gw1 192.0.2.2 "$port" '\xff\xff\xff' "$2"
	tap_check "port $port: IKE reaches its socket" wait_for 5 seen_in "ike$port" '\x00\x00\x00\x00ike'
	tap_check "port $port: a keepalive, too" wait_for 5 grep -qF ' \xff' "$XI_TMP/ike$port.log"
	tap_check "port $port: what is too short for ESP, too" wait_for 5 seen_in "ike$port" '\xff\xff\xff'
	tap_is "port $port: nothing else" "$(grep -vc ready "$XI_TMP/ike$port.log")" 3
	kill "${xi_pids["bg ike$port"]}"
	serve_udp "back$port" gw1 "$2"
	send_udp gw2 192.0.2.9 "$(mapped_to "$2")" '\x00\x00\x00\x00back' "$port"
	tap_check "port $port: IKE the other way" wait_for 5 seen_in "back$port" back
	kill "${xi_pids["bg back$port"]}"
}
# the port that the NAT has for gw1's: told again by a packet of ESP
mapped_to() {
	follow_port=${follow_port:-$(mappings | grep -- '-> 192.0.2.9:' | tail -n 1 | sed 's/.*://')}
	echo "$follow_port"
}
ike 4500 4500

# a NAT whose device goes down forgets whom it has mapped
maps 21000-21099
net_in nat sh -c 'ip link set out down; ip link set out up'
net_addr nat out 2001:db8::9/64
moved() {
	# shellcheck disable=SC2086
	knock $I
	[[ $(mapped) == 210* ]]
}
tap_check "a new port in the middle of it is told" wait_for 15 moved
tap_check "the key manager follows" follow
tap_check "and all goes on" pings gw2 10.8.1.1 5 -I 10.8.2.1

follow_port=
tap_check "other ports" nat_load tunnel 4 "$NULL" 4501 40000
# shellcheck disable=SC2086
moves "ports 4501 and 40000" 210 $I
tap_check "ports 4501 and 40000: ping from behind the NAT" pings gw1 10.8.2.1 10 -I 10.8.1.1
tap_check "ports 4501 and 40000: ping to behind the NAT" pings gw2 10.8.1.1 10 -I 10.8.2.1
ike 40000 4501

tap_check "tunnel, IPv4 in IPv6" nat_load tunnel 6 "$NULL" 4500 4500
# shellcheck disable=SC2086
moves "tunnel over IPv6" 210 $I
tap_check "tunnel over IPv6: ping from behind the NAT" pings gw1 10.8.2.1 10 -I 10.8.1.1
tap_check "tunnel over IPv6: ping to behind the NAT" pings gw2 10.8.1.1 10 -I 10.8.2.1

# transport mode: checksums inside are those of other addresses
for f in 4 6; do
	b=192.0.2.2 m=192.0.2.9
	[ $f = 4 ] || b=2001:db8::2 m=2001:db8::9
	tap_check "transport, IPv$f" nat_load transport $f "$GCM" 4500 4500
	moves "transport, IPv$f" 210 $b
	XI_SNAPLEN=96 capture_start wan br
	tap_check "transport, IPv$f: ping from behind the NAT" pings gw1 $b 10
	tap_check "transport, IPv$f: ping to behind the NAT" pings gw2 $m 10
	tap_check "transport, IPv$f: a TCP transfer" tcp_to gw1 gw2 $b 1000000
	tap_check "transport, IPv$f: a TCP transfer to behind the NAT" tcp_to gw2 gw1 $m 1000000
	serve_udp udp$f gw2 7001 $b
	send_udp gw1 $b 7001 "with a checksum" 5000
	tap_check "transport, IPv$f: UDP, from the NAT's address" wait_for 5 grep -q "$m 5000 with a checksum" "$XI_TMP/udp$f.log"
	if [ $f = 4 ]; then
		send_udp gw1 $b 7001 "without one" 5000 nosum
		tap_check "transport, IPv4: UDP without checksum" wait_for 5 grep -q "$m 5000 without one" "$XI_TMP/udp4.log"
	fi
	kill "${xi_pids["bg udp$f"]}"
	capture_stop wan br
	tap_is "transport, IPv$f: packets in clear on the wire" \
		"$(pcap_count "$XI_TMP/wan-br.pcap" "not (udp port 4500 or $XI_LINK_FILTER)")" 0 ||
		tap_comment "$(pcap_list "$XI_TMP/wan-br.pcap" "not (udp port 4500 or $XI_LINK_FILTER)" | head)"
done

# keepalives by the datapath, which `ip xfrm` of 6.1 has no word for
keepalive_sa() {
	gwip gw1 /usr/bin/python3 -ESs - <<- END
		import socket, struct, sys
		sys.dont_write_bytecode = True
		sys.path.insert(0, "$PWD/tests/interop")
		import xfrm_messages as x
		encap = struct.pack("=H2s2s2x16s", 2, struct.pack("!H", 4500), struct.pack("!H", 4500), bytes(16))
		sa = x.usersa(0x301, src="192.168.1.1", dst="192.0.2.2") + x.aead() + x.attr("ENCAP", encap) + x.u8("SA_DIR", 2)
		print(*x.Socket().ask(*x.message("NEWSA|ACK b''")[:2], sa + x.u32("NAT_KEEPALIVE", $1)))
	END
}
KEEPALIVE='src 192.0.2.9 and dst 192.0.2.2 and udp dst port 4500 and udp[4:2] == 9 and udp[8] == 0xff'
keepalives() { [ "$(pcap_count "$XI_TMP/wan-br.pcap" "$KEEPALIVE")" -ge "$1" ]; }
gwctl gw1 xipsec xfrm state flush
capture_start wan br udp
tap_is "an SA that asks for keepalives" "$(keepalive_sa 1)" ACK
tap_check "has them, through the NAT" wait_for 15 keepalives 3
gwctl gw1 xipsec xfrm state flush
capture_stop wan br
tap_check "and no more than one a second" test "$(pcap_count "$XI_TMP/wan-br.pcap" "$KEEPALIVE")" -lt 30
tap_check "from the port of ESP, so the NAT has not chosen another" test \
	"$(pcap_list "$XI_TMP/wan-br.pcap" "$KEEPALIVE" | sed -E 's/.* 192.0.2.9.([0-9]+) >.*/\1/' | sort -u | wc -l)" = 1
tap_done
