#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# RFC 4301 section 5.1.2.1 on two gateways: whose TTL and hop limit go down, where, and that none of it shows outside.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ip ping jq python3

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	n=${gw#gw}
	start_daemon $gw || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	{ tunnel_lines $gw 4 4 flag esn replay-window 64; tunnel_lines $gw 4 6 flag esn replay-window 64; } | load_lines $gw
	net_in $gw ip route replace 10.1.$((3 - n)).0/24 dev xipsec0 src 10.1.$n.1
	net_in $gw ip -6 route replace fd00:$((3 - n))::/64 dev xipsec0 src fd00:$n::1
done

# hops FROM TO-NAME DEV TTL ADDRESS...: the TTLs and hop limits, each once, of echo requests as they come to TO-NAME
hops() {
	local from=$1 to=$2 dev=$3 ttl=$4 address
	shift 4
	capture_start "$to" "$dev" 'icmp[0] = 8 or (ip6 and ip6[40] = 128)'
	for address; do
		net_in "$from" ping -q -c 5 -i 0.05 -W 5 -t "$ttl" "$address" > /dev/null || echo "no answer from $address"
	done
	capture_stop "$to" "$dev"
	tcpdump -nvr "$XI_TMP/$to-$dev.pcap" 2> /dev/null |
		sed -nE 's/.*\(tos [^)]* ttl ([0-9]+),.*/v4 \1/p; s/.*hlim ([0-9]+),.*/v6 \1/p' | sort -u | paste -sd ' '
}

XI_SNAPLEN=96 capture_start wan br 'ip proto 50'
tap_is "forwarded packets lose one hop on each gateway" "$(hops h1 h2 lan0 60 10.1.2.2 fd00:2::2)" "v4 58 v6 58"
tap_is "and on the way back" "$(hops h2 h1 lan0 9 10.1.1.2 fd00:1::2)" "v4 7 v6 7"
tap_is "the host's own packets lose none where they start" "$(hops gw1 h2 lan0 60 10.1.2.2 fd00:2::2)" "v4 59 v6 59"
tap_is "nor where they end" "$(hops gw1 gw2 xipsec0 60 10.1.2.1 fd00:2::1)" "v4 60 v6 60"
tap_is "the last hop is enough for what is for the host" "$(hops gw1 gw2 xipsec0 1 10.1.2.1 fd00:2::1)" "v4 1 v6 1"
capture_stop wan br
# who says so is the gateway in front of the tunnel; nothing of it is seen outside
exceeded() {
	net_in h1 ping -n -c 3 -i 0.05 -W 2 -t 1 "$1" | grep -c "^From $2 .*\(Time to live exceeded\|Hop limit\)"
}
tap_is "the sender hears that no hop was left" "$(exceeded 10.1.2.2 10.1.1.1)" 3
tap_is "in IPv6 as well" "$(exceeded fd00:2::2 fd00:1::1)" 3
# frames N FLIP: UDP from h1 to h2 in frames of our own making, FLIP xor-ed into the header checksum
frames() {
	net_in h1 /usr/bin/python3 - "$@" "$(net_in gw1 ip -j link show lan0 | jq -r ".[0].address")" <<- 'END'
		import socket, struct, sys
		n, flip, mac = int(sys.argv[1]), int(sys.argv[2], 0), bytes.fromhex(sys.argv[3].replace(":", ""))
		def header(check):
		    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 7, 0, 60, 17, check,
		                       socket.inet_aton("10.1.1.2"), socket.inet_aton("10.1.2.2"))
		total = sum(struct.unpack("!10H", header(0)))
		total = (total & 0xffff) + (total >> 16)
		frame = mac + bytes(6) + b"\x08\0" + header((~total & 0xffff) ^ flip) + struct.pack("!HHHH", 9, 9, 8, 0)
		s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		s.bind(("lan0", 0x800))
		for i in range(n):
		    s.send(frame)
	END
}
malformed() {
	gwctl gw1 xipsec stats -j | jq -r '.reasons.worker_malformed // 0'
}
spi_packets() {
	gwctl gw1 xipsec show -j | jq '[.sas[] | select(.dir != "in") | .packets] | add'
}
before=$(spi_packets)
frames 5 0
# shellcheck disable=SC2317
sound_ones_go() {
	[ "$(spi_packets)" -ge $((before + 5)) ]
}
tap_check "frames with a right header checksum are forwarded" wait_for 10 sound_ones_go
frames 5 0x1000
# shellcheck disable=SC2317
others_do_not() {
	[ "$(malformed)" = 5 ]
}
tap_check "those with a wrong one are not, and are counted" wait_for 10 others_do_not
tap_is "outside there is one TTL for all" \
	"$(tcpdump -nvr "$XI_TMP/wan-br.pcap" 2> /dev/null | sed -nE 's/.*ttl ([0-9]+),.*/\1/p' | sort -u)" 64
tap_done
