# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# gw1 and gw2 of tests/lib/netns.sh, each a host of its own, with SAs and policies between them.
#
#   pair_load                 reads lines on stdin and loads them into both daemons:
#                               state WORDS          an SA, the same at both ends; @BITS in WORDS: that many bits of
#                                                    pair_key SPI
#                               1 SELECTOR tmpl ...  a policy for what gw1 sends: out there, in and fwd at gw2
#                               2 SELECTOR tmpl ...  the same for what gw2 sends
#   pair_state SRC DST SPI ALGORITHMS WORDS...   prints such a line for an SA; ALGORITHMS: "$GCM", "$CBC", "$NULL", "$AH"
#   pair_flush                no SAs and policies in either
#   pair_key N BITS           any fixed key
#   reason GW NAME            a counter, by name; drops GW: the sum of all drops
#   more GW NAME N CMD...     CMD adds exactly N to that counter
#   pings GW TO N OPTIONS...  N echo requests are all answered;  no_ping: none of two is
#   tcp_to FROM TO ADDRESS [BYTES]    arrive as they were sent
#   serve_udp LABEL NAME PORT [ADDRESS]     appends each datagram and its sender to $XI_TMP/LABEL.log
#   monitor_start GW WORDS    ip xfrm monitor WORDS, in $XI_TMP/monitor-GW.log; returns when it hears
#   heard GW PATTERN          lines of it that match; heard_n GW PATTERN N: as many as that
#   forge NAME                packets of tests/net/forge.py, from that namespace

# protocol and algorithms of an SA; NULL's is what tests/net/forge.py speaks
# shellcheck disable=SC2034
{
	GCM="esp aead rfc4106(gcm(aes)) @160 128"
	CBC="esp enc cbc(aes) @128 auth-trunc hmac(sha256) @256 128"
	NULL="esp enc ecb(cipher_null) \"\" auth-trunc hmac(sha1) @160 96"
	AH="ah auth-trunc hmac(sha1) @160 96"
}

pair_fill() {
	local bits spi
	spi=${rest##* spi }
	while [[ $rest == *@* ]]; do
		bits=${rest#*@}
		bits=${bits%% *}
		rest=${rest/@$bits/$(pair_key $((${spi%% *})) "$bits")}
	done
}

pair_load() {
	local first rest
	: > "$XI_TMP/load-1"
	: > "$XI_TMP/load-2"
	while read -r first rest; do
		case $first in
		"" | "#"*) ;;
		state)
			pair_fill
			echo "xfrm state add $rest" | tee -a "$XI_TMP/load-1" >> "$XI_TMP/load-2"
			;;
		[12])
			echo "xfrm policy add ${rest/ tmpl/ dir out tmpl}" >> "$XI_TMP/load-$first"
			echo "xfrm policy add ${rest/ tmpl/ dir in tmpl}" >> "$XI_TMP/load-$((3 - first))"
			[[ $rest != *"mode tunnel"* ]] ||
				echo "xfrm policy add ${rest/ tmpl/ dir fwd tmpl}" >> "$XI_TMP/load-$((3 - first))"
			;;
		*) echo "pair_load: $first: not understood"; return 1 ;;
		esac
	done
	gwctl gw1 xipsec run ip -batch "$XI_TMP/load-1" && gwctl gw2 xipsec run ip -batch "$XI_TMP/load-2"
}

pair_flush() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush || return 1
	done
}

# pair_state SRC DST SPI ALGORITHMS WORDS...: a line for an SA
pair_state() {
	echo "state src $1 dst $2 proto ${4%% *} spi $3 ${*:5} ${4#* }"
}

pair_key() {
	local out
	out=$(printf 'xipsec pair key %d' "$1" | sha512sum)
	echo "0x${out:0:$(($2 / 4))}"
}

reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}

drops() {
	gwctl "$1" xipsec stats -j | jq -r .drops
}

reason_is() {
	[ "$(reason "$1" "$2")" = "$3" ]
}

more() {
	local gw=$1 name=$2 n=$3 before now
	shift 3
	before=$(reason "$gw" "$name")
	"$@" || return 1
	wait_for 3 reason_is "$gw" "$name" $((before + n)) && return 0
	now=$(reason "$gw" "$name")
	echo "$name grew by $((now - before)), not by $n"
	gwctl "$gw" xipsec stats
	return 1
}

# The first packets may find the next hop unknown.
pings() {
	local name=$1 to=$2 n=$3
	shift 3
	net_in "$name" ping -q -c "$n" -i 0.005 -W 3 "$@" "$to" | grep ' 0% packet loss'
}

no_ping() {
	net_in "$1" ping -q -c 2 -i 0.005 -W 0.3 "${@:3}" "$2" | grep '100% packet loss'
}

tcp_to() {
	local from=$1 to=$2 addr=$3 bytes=${4:-3000000} family=4
	[[ $addr != *:* ]] || family=6
	[ "$(stat -c %s "$XI_TMP/blob" 2> /dev/null)" = "$bytes" ] || head -c "$bytes" /dev/urandom > "$XI_TMP/blob"
	rm -f "$XI_TMP/got"
	net_bg sink "$to" timeout 20 sh -c "nc -$family -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in "$to" sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in "$from" timeout 15 nc -N "$addr" 7000 < "$XI_TMP/blob" || return 1
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}

serve_udp() {
	local any=0.0.0.0
	[[ ${4:-} != *:* ]] || any=::
	net_bg "$1" "$2" /usr/bin/python3 -IS -c '
import socket, sys
any, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in any else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((any, port))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65536)
    print(peer[0], peer[1], ascii(data)[2:-1], flush=True)' "$any" "$3"
	wait_for 10 grep -q ready "$XI_TMP/$1.log"
}

# send_udp FROM TO PORT TEXT [SPORT [nosum]]
send_udp() {
	net_in "$1" /usr/bin/python3 -IS -c '
import socket, sys
to, port, text, sport, nosum = sys.argv[1:]
v6 = ":" in to
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 11, nosum == "nosum")     # SO_NO_CHECK
s.bind(("::" if v6 else "0.0.0.0", int(sport)))
s.sendto(text.encode("latin-1").decode("unicode_escape").encode("latin-1"), (to, int(port)))' \
		"$2" "$3" "$4" "${5:-0}" "${6:-sum}"
}

monitor_touch() {
	gwctl "$1" xipsec xfrm state add src 203.0.113.1 dst 203.0.113.2 proto esp spi 0xfff1 mode transport \
		aead 'rfc4106(gcm(aes))' "$(pair_key 999 160)" 128
	gwctl "$1" xipsec xfrm state delete src 203.0.113.1 dst 203.0.113.2 proto esp spi 0xfff1
	grep -q fff1 "$XI_TMP/monitor-$1.log"
}

monitor_start() {
	net_bg "monitor-$1" "$1" env LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" ip xfrm monitor
	wait_for 10 monitor_touch "$1"
}

heard() {
	grep -c -- "$2" "$XI_TMP/monitor-$1.log"
}

heard_n() {
	[ "$(heard "$1" "$2")" = "$3" ]
}

forge() {
	net_in "$1" tests/net/forge.py
}
