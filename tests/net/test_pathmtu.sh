#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A narrow link on the way: the router's word lowers the SA's path MTU, senders hear of it and their packets arrive; an
# error that does not name a packet of ours does nothing.
#
#   h1 --- gw1 --1600-- r1 --1300-- r2 --1600-- gw2 --- h2
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip jq ping nc

PATH_MTU=1300

# wire GW ROUTER N: GW's port and the router it sends everything by, of both families
wire() {
	local gw=$1 r=$2 n=$3 peer=$((3 - $3))
	net_veth "$gw" wan0 "$r" wan "$XI_WAN_MTU" &&
		net_addr "$gw" wan0 "192.0.2.$n/32" "2001:db8::$n/128" &&
		net_addr "$r" wan "192.0.2.25$n/32" "2001:db8::f$n/128" &&
		net_in "$gw" ip route add "192.0.2.25$n" dev wan0 &&
		net_in "$gw" ip route add default via "192.0.2.25$n" &&
		net_in "$gw" ip -6 route add "2001:db8::f$n" dev wan0 &&
		net_in "$gw" ip -6 route add default via "2001:db8::f$n" &&
		net_in "$r" ip route add "192.0.2.$n" dev wan &&
		net_in "$r" ip -6 route add "2001:db8::$n" dev wan &&
		net_addr "$r" mid "198.51.100.$n/24" "2001:db8:1::$n/64" &&
		net_in "$r" ip route add "192.0.2.$peer" via "198.51.100.$peer" &&
		net_in "$r" ip -6 route add "2001:db8::$peer" via "2001:db8:1::$peer"
}


# net_up knows gateways on one bridge alone
up() {
	mkdir -p "$XI_BPFFS" && mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS" &&
		net_add gw1 gw2 h1 h2 r1 r2 && net_veth r1 mid r2 mid $PATH_MTU && wire gw1 r1 1 && wire gw2 r2 2 &&
		net_host 1 && net_host 2
}
up || tap_skip_all "cannot make network namespaces"

for n in 1 2; do
	start_daemon gw$n || { tap_not_ok "daemon of gw$n starts"; tap_done; }
	{ tunnel_lines gw$n 4 4; tunnel_lines gw$n 6 6; } | load_lines gw$n
done

# pmtu GW SPI: of that SA, null when none was learned
pmtu() {
	gwctl "$1" xipsec show -j | jq ".sas[] | select(.spi == \"$(printf 0x%08x "$2")\").pmtu"
}
pmtu_is() {
	[ "$(pmtu "$1" "$2")" = "$3" ]
}
# said GW: how often a path MTU was lowered
said() {
	gwctl "$1" xipsec stats -j | jq '[.. | .path_mtu? // empty] | add // 0'
}

for f in 4 6; do
	out=$(tunnel_spi 1 $f $f) back=$(tunnel_spi 2 $f $f)
	if [ $f = 4 ]; then to=10.1.2.2 head=28; else to=fd00:2::2 head=48; fi
	tap_check "IPv$f: a small packet arrives" net_in h1 ping -q -c 3 -i 0.01 -W 5 $to
	tap_is "IPv$f: nothing is learned without need" "$(pmtu gw1 "$out")" null
	# 1280 bytes inside, more than 1300 outside
	net_in h1 ping -M 'do' -c 1 -W 1 -s $((1280 - head)) $to > /dev/null
	tap_check "IPv$f: the router's error lowers the SA's path MTU" wait_for 5 pmtu_is gw1 "$out" $PATH_MTU
	tap_is "IPv$f: not that of the SA of the way back" "$(pmtu gw1 "$back")" null
	tap_is "IPv$f: and the peer learns nothing of it" "$(pmtu gw2 "$back")" null
done
tap_is "each was counted once" "$(said gw1)" 2

# RFC 4303 section 2: outer header, SPI, number, IV and ICV, then payload, padding to 4 and two bytes
inner4=$(((PATH_MTU - 20 - 8 - 8 - 16) / 4 * 4 - 2))
inner6=$(((PATH_MTU - 40 - 8 - 8 - 16) / 4 * 4 - 2))
# an IPv6 sender is told 1280 at least, and what is larger than the tunnel is lost on it
says=$(net_in h1 ping -M 'do' -c 1 -W 2 -s 1252 10.1.2.2 2>&1)
tap_check "a sender is told what fits, $inner4 bytes" grep -q "mtu = $inner4" <<< "$says"
tap_check "and that arrives" net_in h1 ping -M 'do' -c 1 -W 5 -s $((inner4 - 28)) 10.1.2.2
tap_check "as does the most that an IPv6 packet may have" net_in h1 ping -M 'do' -c 1 -W 5 -s $((inner6 - 48)) fd00:2::2

net_in h1 ip route flush cache
head -c 300000 /dev/urandom > "$XI_TMP/sent"
net_bg receiver h2 sh -c "nc -l -p 5001 > '$XI_TMP/received'"
listening() {
	net_in h2 ss -tln | grep -q :5001
}
wait_for 5 listening
tap_check "a TCP connection finds its segment size" net_in h1 timeout 20 nc -N 10.1.2.2 5001 < "$XI_TMP/sent"
tap_check "and everything arrives" wait_for 5 cmp "$XI_TMP/sent" "$XI_TMP/received"

# gw2, from here: its SAs have learned nothing yet
seq4=$(gwctl gw2 xipsec show -j | jq ".sas[] | select(.spi == \"$(printf 0x%08x "$(tunnel_spi 2 4 4)")\").oseq")
seq6=$(gwctl gw2 xipsec show -j | jq ".sas[] | select(.spi == \"$(printf 0x%08x "$(tunnel_spi 2 6 6)")\").oseq")
before=$(said gw2)
# What is lower is never raised, and a socket keeps the order: had one of the first been believed, 1200 would not be.
forged() {
	local f=$1 us=$2 them=$3 seq=$4 spi other
	spi=$(tunnel_spi 2 "$f" "$f") other=$(tunnel_spi 1 "$f" "$f")
	net_in r2 tests/net/too_big.py <<- EOF
		$us 1280 $us $them esp 0x7777 $seq
		$us 1280 $us $them esp $other $seq
		$us 1280 $us $them ah $spi $seq
		$us 1281 $us $them udp $spi $seq
		$us 1281 $us $them udp - -
		$us 1280 $them $us esp $other 1
		$us 1280 $5 $them esp $spi $seq
		$us 1280 $us $5 esp $spi $seq
		$us 1280 $us $them esp $spi $((seq + 1))
		$us 1280 $us $them esp $spi 0
		$us 1280 $us $them esp $spi $seq len=1280
		$us 1280 $us $them esp $spi - len=1400
		$us 1280 $us $them esp $spi $seq type=1 code=1
		$us 1290 $us $them esp $spi $seq
	EOF
}
forged 4 192.0.2.2 192.0.2.1 "$seq4" 192.0.2.9
forged 6 2001:db8::2 2001:db8::1 "$seq6" 2001:db8::9
tap_check "IPv4: of many forged errors only the one that names a packet of ours is believed" \
	wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 4 4)" 1290
tap_check "IPv6: the same" wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 6 6)" 1290
tap_is "two were counted" "$(($(said gw2) - before))" 2
# Linux 6.1 believes what is said of UDP that no socket sent, whether xipsec runs or not
tap_check "of ESP and AH the host's stack has learned nothing by itself" \
	eval '! { net_in gw2 ip route get 192.0.2.1; net_in gw2 ip -6 route get 2001:db8::1; } | grep mtu | grep -v "mtu 1281"'
# more than are read at a time
{
	for ((n = 0; n < 100; n++)); do
		echo "192.0.2.2 1270 192.0.2.2 192.0.2.1 esp $((0x2000 + n)) $seq4"
		echo "2001:db8::2 1281 2001:db8::2 2001:db8::1 esp $((0x2000 + n)) $seq6"
	done
	echo "192.0.2.2 1269 192.0.2.2 192.0.2.1 esp $(tunnel_spi 2 4 4) $seq4"
	echo "2001:db8::2 1281 2001:db8::2 2001:db8::1 esp $(tunnel_spi 2 6 6) $seq6"
} | net_in r2 tests/net/too_big.py
tap_check "IPv4: behind many others one is read" wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 4 4)" 1269
tap_check "IPv6: the same behind many" wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 6 6)" 1281

# floors
net_in r2 tests/net/too_big.py <<- EOF
	192.0.2.2 68 192.0.2.2 192.0.2.1 esp $(tunnel_spi 2 4 4) $seq4
	2001:db8::2 1279 2001:db8::2 2001:db8::1 esp $(tunnel_spi 2 6 6) $seq6
	2001:db8::2 1280 2001:db8::2 2001:db8::1 esp $(tunnel_spi 2 6 6) $seq6
EOF
tap_check "IPv4: not below the host's least" \
	wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 4 4)" "$(net_in gw2 cat /proc/sys/net/ipv4/route/min_pmtu)"
tap_check "IPv6: below 1280 is no word of a router, 1280 is" wait_for 5 pmtu_is gw2 "$(tunnel_spi 2 6 6)" 1280

# age
net_in gw1 sh -c 'echo 2 > /proc/sys/net/ipv4/route/mtu_expires'
seq1=$(gwctl gw1 xipsec show -j | jq ".sas[] | select(.spi == \"$(printf 0x%08x "$(tunnel_spi 1 4 4)")\").oseq")
net_in r1 tests/net/too_big.py <<< "192.0.2.1 1250 192.0.2.1 192.0.2.2 esp $(tunnel_spi 1 4 4) $seq1"
tap_check "a lower one is taken" wait_for 5 pmtu_is gw1 "$(tunnel_spi 1 4 4)" 1250
tap_check "and forgotten when it is old" wait_for 10 pmtu_is gw1 "$(tunnel_spi 1 4 4)" null
net_in gw1 sh -c 'echo 600 > /proc/sys/net/ipv4/route/mtu_expires'

# restart
kill_daemon gw1
start_daemon gw1 || { tap_not_ok "daemon of gw1 starts again"; tap_done; }
tap_is "the path MTU survives kill -9" "$(pmtu gw1 "$(tunnel_spi 1 6 6)")" $PATH_MTU

# ESP in UDP, and AH
other_sas() {
	local n
	for n in 1 2; do
		gwctl gw$n xipsec xfrm state flush && gwctl gw$n xipsec xfrm policy flush || return 1
		"$@" gw$n | load_lines gw$n || return 1
	done
}
udp_lines() {
	SA_BASE=0x2000 tunnel_lines "$1" 4 4 encap espinudp 4500 4500 0.0.0.0
}
ah_lines() {
	local key
	key=$(sa_key 1)$(sa_key 2 | cut -c 3-)
	SA_BASE=0x3000 tunnel_lines "$1" 4 4 flag align4 |
		sed "s/proto esp/proto ah/; s/aead .* 128/auth-trunc hmac(sha256) ${key:0:66} 128/"
}
# finds NAME LINES SPI INNER: the path MTU is learned by LINES' SA, and INNER bytes then fit
finds() {
	local name=$1 lines=$2 spi=$3 inner=$4
	other_sas "$lines" > "$XI_TMP/other" 2>&1 || tap_not_ok "$name is set up" "$(cat "$XI_TMP/other")"
	net_in h1 ip route flush cache
	tap_check "$name: a small packet arrives" net_in h1 ping -q -c 3 -i 0.01 -W 5 10.1.2.2
	net_in h1 ping -M 'do' -c 1 -W 1 -s 1252 10.1.2.2 > /dev/null
	tap_check "$name: the router's error lowers the SA's path MTU" wait_for 5 pmtu_is gw1 "$spi" $PATH_MTU
	says=$(net_in h1 ping -M 'do' -c 1 -W 2 -s 1252 10.1.2.2 2>&1)
	tap_check "$name: a sender is told what fits, $inner bytes" grep -q "mtu = $inner" <<< "$says"
	tap_check "$name: and that arrives" net_in h1 ping -M 'do' -c 1 -W 5 -s $((inner - 28)) 10.1.2.2
}
# RFC 4302 section 2: 12 bytes and the ICV, in IPv4 a multiple of 4 with Linux's flag align4, else of 8
finds AH ah_lines 0x3001 $((PATH_MTU - 20 - 12 - 16))
finds "ESP in UDP" udp_lines 0x2001 $(((PATH_MTU - 20 - 8 - 8 - 8 - 16) / 4 * 4 - 2))
net_in r1 tests/net/too_big.py <<- EOF
	192.0.2.1 1280 192.0.2.1 192.0.2.2 esp 0x2001 1
	192.0.2.1 1280 192.0.2.1 192.0.2.2 udp 0x2002 1
	192.0.2.1 1281 192.0.2.1 192.0.2.2 udp 0x2001 1
EOF
tap_check "ESP in UDP: an error names ports and SPI" wait_for 5 pmtu_is gw1 0x2001 1281
net_in r1 tests/net/too_big.py <<- EOF
	192.0.2.1 1279 192.0.2.1 192.0.2.9 udp - -
	192.0.2.1 1280 192.0.2.1 192.0.2.2 udp - -
EOF
tap_check "or where the quote ends before the SPI the ports" wait_for 5 pmtu_is gw1 0x2001 1280
tap_done
