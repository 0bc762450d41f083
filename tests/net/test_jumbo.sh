#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 400
# Jumbo frames: every link takes 9000 bytes. Packets of all sizes around the ends of frames and buffers arrive byte for
# byte, in order among small ones, through tunnel and transport mode, by either transmit path; what is too long is
# counted and said; and where AF_XDP takes one buffer a packet (Linux before 6.6) the log says what is carried.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
XI_WAN_MTU=9000 XI_LAN_MTU=9000
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools nc jq ping iperf3
export ASAN_OPTIONS=detect_leaks=1

# Small ones; a frame of 4096 bytes with 256 in front, in pieces of a packet on its way in and out, with 0 to 100 bytes of
# headers and trailers around; a page less what the kernel keeps of it; the end.
SIZES="28-200/13 1400-1500/7 3330-3420/3 3480-3530 3670-3870 4020-4110 7500-7700/3 7780-7880/3 8090-8200/3"

sg() {
	python3 - <<- 'EOF'
		import errno, socket, struct, ctypes
		libc = ctypes.CDLL(None, use_errno=True)
		fd = libc.socket(44, 3, 0)
		libc.bind(fd, struct.pack("=HHIII", 44, 16, 0, 0, 0), 16)
		raise SystemExit(ctypes.get_errno() != errno.ENODEV)
	EOF
}

# start TX [MODE]: both gateways anew
start() {
	local gw conf
	for gw in gw1 gw2; do
		[ -z "$(daemon_pid $gw)" ] || stop_daemon $gw || return 1
		conf=$(gw_conf $gw)
		sed -i "/^role/a tx = $1\nmode = ${2:-native}" "$conf"
		gwctl $gw xipsec down > /dev/null 2>&1
		# what the host was told of protected packets' room is not the path's
		net_in $gw ip route flush cache
		start_daemon $gw "$conf" || return 1
	done
}

# tunnel OUTER INNER [OPTION...]
tunnel() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush &&
			tunnel_lines $gw "$@" replay-window 128 | load_lines $gw || return 1
	done
}

transport() {
	local gw n p
	for gw in gw1 gw2; do
		n=${gw#gw} p=$((3 - ${gw#gw}))
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush && {
			sa_lines 192.0.2.1 192.0.2.2 0x3001 "$(sa_key 1)" replay-window 128
			sa_lines 192.0.2.2 192.0.2.1 0x3002 "$(sa_key 2)" replay-window 128
			echo "xfrm policy add src 192.0.2.$n dst 192.0.2.$p dir out tmpl proto esp reqid $((0x3000 + n)) mode tunnel"
			echo "xfrm policy add src 192.0.2.$p dst 192.0.2.$n dir in tmpl proto esp reqid $((0x3000 + p)) mode tunnel"
		} | sed 's/mode tunnel/mode transport/' | load_lines $gw || return 1
	done
}

far() {
	if [ "$1" = 6 ]; then echo fd00:2::2; else echo 10.1.2.2; fi
}

# echoes FROM TO WORD...: nothing lost, nothing wrong
echoes() {
	local from=$1
	shift
	net_in "$from" tests/net/echo_sizes.py "$@"
}

# known FROM TO: next hops are resolved, caches filled, and nothing is remembered of earlier path MTUs
known() {
	net_in "$1" ip route flush cache
	net_in "$1" ip -6 route flush cache
	wait_for 10 net_in "$1" ping -q -c 1 -W 1 "$2"
}

# dropped GW: reasons and counts, but for what is known to be
dropped() {
	gwctl "$1" xipsec stats -j | jq -c '[.reasons | to_entries[] | select(.value > 0)] | from_entries'
}

reason() {
	gwctl "$1" xipsec stats -j | jq ".reasons.$2"
}

drops() {
	local gw sum=""
	for gw in gw1 gw2; do
		sum="$sum$(gwctl $gw xipsec stats | sed -n 's/^dropped: //p') "
	done
	echo "${sum% }"
}

# longest SIZE TO: that much goes through, and of one byte more the sender hears
longest() {
	echoes h1 "$2" "$1" || return 1
	net_in h1 ip route flush cache
	! echoes h1 "$2" $(($1 + 1)) || { echo "one more goes through as well"; return 1; }
}

# tcp FROM TO-NAME TO BYTES: arrives as it was sent
tcp() {
	local sum
	head -c "$4" /dev/urandom > "$XI_TMP/blob"
	net_bg sink "$2" timeout 60 sh -c "nc -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in "$2" sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in "$1" timeout 60 nc -N "$3" 7000 < "$XI_TMP/blob" || return 1
	wait_for 20 cmp "$XI_TMP/blob" "$XI_TMP/got"
}

# mixed COUNT PPS SIZE...: one flow; its counts are in $XI_TMP/mixed.log
mixed() {
	net_bg mixed h2 tests/net/mixed_udp.py receive 10.1.2.2 7002
	wait_for 5 net_in h2 sh -c 'ss -Hlun sport = :7002 | grep -q .' || return 1
	net_in h1 tests/net/mixed_udp.py send 10.1.2.2 7002 "$@" || return 1
	wait_for 15 grep -q received "$XI_TMP/mixed.log"
	cat "$XI_TMP/mixed.log"
	jq -e '.wrong == 0 and .out_of_order == 0 and .long >= 1000 and .short >= 1000' "$XI_TMP/mixed.log"
}

# flooded: burst takes the short packets of another flow meanwhile, AF_XDP the long ones of this one
flooded() {
	local before rc=0
	before=$(port gw1 wan0 '.ports[0].tx.burst_packets')
	net_bg server h2 iperf3 -s -1
	wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :5201 | grep -q .' || return 1
	net_bg client h1 iperf3 -u -c 10.1.2.2 -l 100 -b 0 -t 60
	wait_for 10 burst_grew "$before" || { port gw1 wan0 '.ports[0].tx'; rc=1; }
	mixed 20000 10000 100-300 100-8946 || rc=1
	kill "${xi_pids["bg client"]}" "${xi_pids["bg server"]}"
	return $rc
}
burst_grew() {
	[ "$(port gw1 wan0 '.ports[0].tx.burst_packets')" -gt $(($1 + 2000)) ]
}

port() {
	gwctl "$1" xipsec port -j "$2" | jq -r "$3"
}

net_up || tap_skip_all "cannot make network namespaces"

if sg; then
for tx in xsk auto; do
	tap_check "tx = $tx: both daemons start" start $tx || tap_done
	tap_is "tx = $tx: the longest packet carried" "$(port gw1 wan0 '.ports[0].packet_max')" 9600
	for combination in "4 4 8946" "6 4 8926" "4 6 8946" "6 6 8926"; do
		read -r outer inner most <<< "$combination"
		to=$(far "$inner")
		name="tx = $tx, IPv$inner in IPv$outer"
		tap_check "$name: SAs" tunnel "$outer" "$inner"
		known h1 "$to"
		tap_check "$name: all sizes, byte for byte, both ways" echoes h1 "$to" \
			$(sed "s/^28/$((inner == 6 ? 48 : 28))/" <<< "$SIZES") "$((most - 60))-$most"
	done
	tap_is "tx = $tx: nothing was dropped" "$(drops)" "0 0"
	tunnel 4 4
	known h1 10.1.2.2
	tap_check "tx = $tx: 8946 bytes are the most, and the host is told" longest 8946 10.1.2.2
	tap_is "tx = $tx: which is what was dropped" "$(reason gw1 too_big) $(drops)" "1 1 0"
	tap_is "tx = $tx: the MTU it was told" "$(net_in h1 ip route get 10.1.2.2 | grep -o 'mtu [0-9]*')" "mtu 8946"
	tap_check "tx = $tx: TCP, 50 MB arrive intact" tcp h1 h2 10.1.2.2 50000000
	tap_check "tx = $tx: and the other way" tcp h2 h1 10.1.1.2 50000000
	tap_check "tx = $tx: long and short packets of one flow, in order, byte for byte" mixed 60000 40000 100-300 100-8946
done
tap_check "under a flood of short packets, of which bursts are made" flooded

# a datagram that its host has cut into pieces of 9000, each a packet of its own
tap_check "datagrams in fragments" echoes h1 -f -w 4 10.1.2.2 8947-9100/17 17000 20000

tap_check "transport mode: SAs" transport
known gw1 192.0.2.2
before=$(drops)
# 9000 less ESP 8, IV 8, ICV 16, down to a multiple of 4 less 2
tap_check "transport mode: all sizes, byte for byte, both ways" echoes gw1 192.0.2.2 $SIZES 8900-8964
tap_check "transport mode: the other way" echoes gw2 192.0.2.1 $SIZES 8900-8964
# cut behind ESP, and put together by the peer; what the host cut is put together before ESP
tap_check "transport mode: datagrams that may be cut" echoes gw1 -f -w 4 192.0.2.2 8960-9000/3 9001-11700/71
tap_is "transport mode: nothing was dropped" "$(drops)" "$before"
tap_check "transport mode: TCP, 50 MB arrive intact" tcp gw1 gw2 192.0.2.2 50000000

tap_check "mode = skb: both daemons start" start auto skb
tunnel 4 4
known h1 10.1.2.2
tap_check "mode = skb: all sizes, byte for byte, both ways" echoes h1 10.1.2.2 $SIZES 8900-8946
tap_check "mode = skb: TCP, 50 MB arrive intact" tcp h1 h2 10.1.2.2 50000000

if [ -x "$XI_BUILD/asan/xipsecd" ]; then
	for tx in xsk auto; do
		XI_DAEMON=$XI_BUILD/asan/xipsecd
		tap_check "AddressSanitizer, tx = $tx: both daemons start" start $tx
		tunnel 4 4
		known h1 10.1.2.2
		tap_check "AddressSanitizer: all sizes" echoes h1 -w 32 10.1.2.2 $SIZES 8900-8946
		tap_check "AddressSanitizer: long and short packets" mixed 10000 5000 100-300 100-8946
		tap_check "AddressSanitizer: datagrams in fragments" echoes h1 -f -w 4 10.1.2.2 8947-9100/17 17000
		transport
		known gw1 192.0.2.2
		tap_check "AddressSanitizer: transport mode" echoes gw1 192.0.2.2 $SIZES 8900-8964
		tap_check "AddressSanitizer: transport mode, cut" echoes gw1 -f -w 4 192.0.2.2 8960-9000/3 9001-11700/71
		tap_check "AddressSanitizer: gateway 1 stops cleanly" stop_daemon gw1
		tap_check "AddressSanitizer: gateway 2 stops cleanly" stop_daemon gw2
		tap_check "AddressSanitizer: nothing is reported" eval '! grep -E "ERROR: (Address|Leak)Sanitizer|runtime error" "$XI_TMP"/gw?.log'
	done
	XI_DAEMON=$XI_BUILD/xipsecd
else
	tap_skip "AddressSanitizer" "$XI_BUILD/asan/xipsecd is not built; make asan builds it"
fi

# a link's MTU changes while the daemons run
mtus() {
	local end
	for end in "h1 lan0" "gw1 lan0" "gw1 wan0" "wan w1" "wan w2" "wan br" "gw2 wan0" "gw2 lan0" "h2 lan0"; do
		net_in "${end% *}" ip link set dev "${end#* }" mtu "$1" || return 1
	done
	wait_for 10 port_is gw1 "$2" && wait_for 10 port_is gw2 "$2"
}
port_is() {
	[ "$(port "$1" wan0 '.ports[0].packet_max') $(port "$1" lan0 '.ports[0].packet_max')" = "$2 $2" ]
}
tap_check "MTU: both daemons start with 1500" eval 'mtus_quiet=1; for gw in gw1 gw2; do [ -z "$(daemon_pid $gw)" ] || stop_daemon $gw; done;
	for end in "h1 lan0" "gw1 lan0" "gw1 wan0" "gw2 wan0" "gw2 lan0" "h2 lan0"; do net_in "${end% *}" ip link set dev "${end#* }" mtu 1500; done;
	start auto'
tunnel 4 4
known h1 10.1.2.2
tap_check "MTU: 1500 go through" echoes h1 10.1.2.2 1446
tap_check "MTU: all links go to 9000, and the ports follow" mtus 9000 9600
tap_is "MTU: so does xipsec0" "$(net_in gw1 ip -j link show dev xipsec0 | jq '.[0].mtu')" 9000
net_in h1 ip route flush cache
known h1 10.1.2.2
tap_check "MTU: long packets go through" echoes h1 10.1.2.2 $SIZES 8900-8946
tap_check "MTU: back to 1500" mtus 1500 3500
known h1 10.1.2.2
tap_check "MTU: which go through" echoes h1 10.1.2.2 1000-1446/7
mtus 9000 9600
else
	tap_skip "packets of several buffers" "this kernel has no multi-buffer AF_XDP"
fi

# As before Linux 6.6: bind() does not know the flag.
old_kernel() {
	cat > "$XI_TMP/old.c" <<- 'EOF'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <errno.h>
		#include <linux/if_xdp.h>
		#include <sys/socket.h>

		int bind(int fd, const struct sockaddr *addr, socklen_t len)
		{
			int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");

			if (addr->sa_family == AF_XDP && (((const struct sockaddr_xdp *)addr)->sxdp_flags & 16)) {
				errno = EINVAL;
				return -1;
			}
			return next(fd, addr, len);
		}
	EOF
	cc -shared -fPIC -o "$XI_TMP/old.so" "$XI_TMP/old.c" -ldl || return 1
	LD_PRELOAD=$XI_TMP/old.so start auto
}
said() {
	grep -qF "port $1: MTU 9000: packets of more than 3500 bytes are dropped (too_big): this kernel has no multi-buffer AF_XDP (Linux 6.6); set the MTU to 3500 or less" \
		"$XI_TMP/gw1.log"
}
# too_big_grows N: every one of N packets that the gateway cannot take is counted
too_big_grows() {
	local before
	before=$(reason gw1 too_big)
	net_in h1 ping -q -c "$1" -i 0.01 -W 1 -s 5000 10.1.2.2
	net_in h1 ping -q -c "$1" -i 0.01 -W 1 -s $((3501 - 28)) 10.1.2.2
	[ "$(reason gw1 too_big)" = $((before + 2 * $1)) ] || { echo "$before, then $(reason gw1 too_big)"; return 1; }
}
: > "$XI_TMP/gw1.log"
tap_check "without multi-buffer AF_XDP the daemons start" old_kernel
tap_check "and say of each port what it carries" eval 'said wan0 && said lan0'
tap_is "as does xipsec port" "$(port gw1 wan0 '.ports[0].packet_max')" 3500
tunnel 4 4
known h1 10.1.2.2
before=$(drops)
tap_check "that much goes through" echoes h1 10.1.2.2 28-3400/41 3401-3443
tap_is "and nothing of it is dropped" "$(drops)" "$before"
tap_check "what is longer is counted" too_big_grows 10
tap_is "and nothing else" "$(gwctl gw1 xipsec stats -j | jq -r '.reasons.rx_full')" 0
tap_check "gateway 1 stops cleanly" stop_daemon gw1
tap_check "gateway 2 stops cleanly" stop_daemon gw2
tap_done
