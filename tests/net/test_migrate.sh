#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 120
#
# MIGRATE under traffic: gw1's end of a tunnel moves between two addresses, time and again. No packet is lost, no sequence
# number is used twice or left out (invariant nonce-unique), and kill -9 in between changes nothing (state-survives).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping python3 jq
XI_SNAPLEN=96

net_up || tap_skip_all "cannot make network namespaces"
net_in gw1 ip addr add 192.0.2.11/24 dev wan0
for gw in gw1 gw2; do
	start_daemon $gw || tap_done
	tunnel_lines $gw 4 4 | load_lines $gw
done
capture_start wan br

migrate() {
	gwip "$1" python3 tests/net/migrate.py "$2" 10.1.1.0 10.1.2.0 24 0x1001 "$3" 192.0.2.2 "$4" 192.0.2.2
}
# the receiver first: an SA is known by destination and SPI, so it takes packets from either address
move() {
	[ "$(migrate gw2 fwd "$1" "$2") $(migrate gw2 in "$1" "$2") $(migrate gw1 out "$1" "$2")" = "0 0 0" ]
}
moves() {
	local i
	for ((i = 0; i < 10; i++)); do
		move 192.0.2.1 192.0.2.11 && move 192.0.2.11 192.0.2.1 || return 1
	done
}
traffic() {
	net_in h1 ping -q -c 200 -i 0.002 -W 1 10.1.2.2 | grep -q ' 0% packet loss'
}
# SPI, sequence number and source of gw1's packets; capture order is the bridge's, and one worker sends them
numbers() {
	python3 - "$XI_TMP/wan-br.pcap" <<- 'END'
		import struct, sys
		data, at, seen, sources = open(sys.argv[1], "rb").read(), 24, [], set()
		while at + 16 <= len(data):
		    n = struct.unpack_from("I", data, at + 8)[0]
		    ip = data[at + 16 + 14:at + 16 + n]
		    at += 16 + n
		    if len(ip) >= 28 and ip[9] == 50 and struct.unpack_from("!I", ip, 20)[0] == 0x1001:
		        seen.append(struct.unpack_from("!I", ip, 24)[0])
		        sources.add(ip[15])
		same = sorted(seen) == list(range(1, len(seen) + 1))
		print("each once" if same else "repeated or left out", *sorted(sources))
	END
}

tap_check "traffic" traffic
net_bg stream h1 sh -c "ping -q -i 0.001 -c 6000 -W 1 10.1.2.2 > $XI_TMP/ping.out"
tap_check "moves, and back, twenty times" moves
tap_check "moves once more" move 192.0.2.1 192.0.2.11
tap_check "the stream ends" wait_for 60 grep -q 'packet loss' "$XI_TMP/ping.out"
tap_is "no packet was lost" "$(grep -o '[0-9.]*% packet loss' "$XI_TMP/ping.out")" "0% packet loss" ||
	tap_comment "$(for gw in gw1 gw2; do gwctl $gw xipsec stats; done)"
tap_is "the SA has its new address" "$(gwip gw1 ip xfrm state | grep -c 'src 192.0.2.11 dst 192.0.2.2')" 1
tap_is "and the policy" "$(gwip gw1 ip xfrm policy | grep -c 'tmpl src 192.0.2.11 dst 192.0.2.2')" 1
tap_is "what is not there is not moved" "$(migrate gw1 out 192.0.2.1 192.0.2.11)" -61
kill_daemon gw1
tap_check "gw1 starts again after kill -9" start_daemon gw1
tap_check "traffic goes on" traffic
tap_is "the SA is where it was" "$(gwip gw1 ip xfrm state | grep -c 'src 192.0.2.11 dst 192.0.2.2')" 1
tap_check "it moves back" move 192.0.2.11 192.0.2.1
tap_check "with traffic" traffic
capture_stop wan br
tap_is "each number is on the wire once, from both addresses" "$(numbers)" "each once 1 11"
tap_is "and gw2 took all of them" "$(gwip gw2 ip -s xfrm state | sa_packets 0x1001)" \
	"$(gwip gw1 ip -s xfrm state | sa_packets 0x1001)"
tap_done
