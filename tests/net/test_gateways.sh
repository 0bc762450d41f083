#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two gateways and two hosts: every combination of outer and inner family, key length, ESN, window and engine;
# AES-CBC with each HMAC.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump iperf3 ping

XI_SNAPLEN=96
net_up || tap_skip_all "cannot make network namespaces"

# set_tunnel OUTER INNER [OPTION...]: both gateways anew
set_tunnel() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush || return 1
		tunnel_lines $gw "$@" | load_lines $gw || return 1
	done
}

far() {
	if [ "$1" = 6 ]; then echo fd00:2::2; else echo 10.1.2.2; fi
}

# pings TO: none is lost, at sizes around every padding boundary
pings() {
	local size
	net_in h1 ping -q -c 50 -i 0.002 -W 2 "$1" | grep ' 0% packet loss' || return 1
	for size in 0 1 2 3 4 5 56 1000 1372; do
		net_in h1 ping -q -c 2 -i 0.002 -W 2 -s $size "$1" | grep ' 0% packet loss' || return 1
	done
}
# through OUTER INNER [OPTION...]: not a packet is lost, and only ESP is on the wire
through() {
	local rc=0
	set_tunnel "$@" && capture_start wan br || return 1
	pings "$(far "$2")" || rc=1
	capture_stop wan br || rc=1
	[ $rc = 0 ] && only_esp "$XI_TMP/wan-br.pcap"
}

# tcp INNER: bytes arrive as they were sent, at full segment size, though the tunnel takes room from the path MTU
tcp_through() {
	local to sum
	to=$(far "$1")
	head -c 3000000 /dev/urandom > "$XI_TMP/blob"
	rm -f "$XI_TMP/got"
	net_bg sink h2 timeout 20 sh -c "nc -$1 -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in h1 timeout 20 nc -N "$to" 7000 < "$XI_TMP/blob" || return 1
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}

udp_through() {
	local to
	to=$(far "$1")
	rm -f "$XI_TMP/udp"
	net_bg usink h2 timeout 20 sh -c "nc -$1 -u -l -p 7001 > $XI_TMP/udp"
	wait_for 5 net_in h2 sh -c 'ss -Hlun sport = :7001 | grep -q .' || return 1
	net_in h1 timeout 5 sh -c "echo one datagram | nc -u -w 1 $to 7001"
	wait_for 5 grep -q 'one datagram' "$XI_TMP/udp"
}

# told_mtu: what the host learns of the path when a packet without fragmentation is too big for 1500 bytes outside;
# not before the gateway knows its next hop
told_mtu() {
	set_tunnel 4 4
	net_in gw1 ip link set dev wan0 mtu 1500
	net_in h1 ip route flush cache
	wait_for 5 too_big
	net_in h1 ip route get 10.1.2.2 | grep -o 'mtu [0-9]*'
}
too_big() {
	net_in h1 ping -q -c 1 -W 1 -M do -s 1472 10.1.2.2 > /dev/null
	net_in h1 ip route get 10.1.2.2 | grep -q mtu
}

# cbc NAME: each HMAC
cbc() {
	local SA_AUTH
	for SA_AUTH in 'hmac(sha1)' 'hmac(sha384)' 'hmac(sha512)' 'hmac(sha256)'; do
		tap_check "$1AES-CBC-$SA_KEY_BITS, $SA_AUTH, ESN, IPv4 in IPv6" through 6 4 flag esn replay-window 64
	done
	tap_check "$1AES-CBC: TCP arrives intact" tcp_through 4
	# outer header 20, ESP 8, IV 16, ICV 16: 1440 are 90 blocks, of which pad length and next header take 2 bytes
	tap_is "$1AES-CBC: the host is told the MTU inside" "$(told_mtu)" "mtu 1438"
	tap_check "$1AES-CBC: and that much goes through" \
		net_in h1 ping -q -c 1 -W 2 -M do -s $((1438 - 28)) 10.1.2.2
	net_in gw1 ip link set dev wan0 mtu "$XI_WAN_MTU"
}

start_both() {
	local gw
	for gw in gw1 gw2; do
		start_daemon $gw "$(gw_conf $gw)" || return 1
	done
}

set_engine() {
	local gw conf
	for gw in gw1 gw2; do
		stop_daemon $gw || return 1
		conf=$(gw_conf $gw)
		sed -i "/^\[daemon\]/a engine = $1" "$conf"
		start_daemon $gw "$conf" || return 1
	done
}

tap_check "two daemons start side by side" start_both || tap_done
for outer in 4 6; do
	for inner in 4 6; do
		tap_check "IPv$inner in IPv$outer, AES-128, ESN" through $outer $inner flag esn replay-window 128
	done
	tap_check "IPv$inner in IPv$outer: TCP arrives intact" tcp_through $inner
	tap_check "IPv$inner in IPv$outer: UDP arrives" udp_through $inner
done
SA_KEY_BITS=192
tap_check "AES-192 without ESN, window 32" through 4 4 replay-window 32
SA_KEY_BITS=256
tap_check "AES-256, ESN, window 4096" through 4 4 flag esn replay-window 4096
tap_check "IPv4 in IPv4: TCP arrives intact" tcp_through 4
cbc ""
# outer header 20, ESP 8, IV 8, ICV 16: 1448, less 2
tap_is "AES-GCM: the host is told the MTU inside" "$(told_mtu)" "mtu 1446"
net_in gw1 ip link set dev wan0 mtu "$XI_WAN_MTU"
tap_check "daemons start again with OpenSSL" set_engine openssl
for bits in 128 192 256; do
	SA_KEY_BITS=$bits
	tap_check "OpenSSL: AES-$bits, ESN, IPv4 in IPv6" through 6 4 flag esn replay-window 64
done
tap_check "OpenSSL: TCP arrives intact" tcp_through 4
cbc "OpenSSL: "
tap_check "gateway 1 stops cleanly" stop_daemon gw1
tap_check "gateway 2 stops cleanly" stop_daemon gw2
tap_done
