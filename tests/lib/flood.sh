# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154,SC2086
# A flood through one gateway, every packet compared. Source tests/lib/netns.sh and sas.sh first.
#
#   left  +----+           +---------------+           +----+  right
#         | l0 |-----------| lan0 gw1 wan0 |-----------| r0 |
#         +----+           +---------------+           +----+
#         10.1.1.2      10.1.1.1       192.0.2.1      192.0.2.2
#         fd00:1::2     fd00:1::1      2001:db8::1    2001:db8::2
#
# left and right are no gateways: what gw1 encrypts is opened in right, and what it decrypts was sealed there, both by
# tests/net/flood.c with OpenSSL. No bridge, and neighbours that need no asking: nothing but the flood is on the wires.
#
#   flood_up [CONF-LINE...]      the topology and the daemon, with more configuration lines; $FLOOD_TX in both ports
#   flood_sas OUTER INNER        gw1's SAs and policies anew (window 1024, no ESN)
#   flood encrypt|decrypt OUTER INNER [OPTION...]   a flood; $XI_TMP/flood.json; prints it
#   flood_by_burst DEV N EXPECTED encrypt|decrypt ...   a flood of which at least N packets go out of DEV by burst and
#                                EXPECTED is true. Others who attach programs meanwhile make burst pause: up to three
#                                floods, each of which must be EXPECTED
#   flood_bg LABEL encrypt|decrypt OUTER INNER [OPTION...]   in the background; $XI_TMP/LABEL.json at any time
#   flood_end LABEL              ends it and waits; then $XI_TMP/LABEL.json is final
#   flood_is FILTER [LABEL]      true when jq's FILTER of the counts is; shows them when it is not
#   flood_warm OUTER INNER       caches filled and next hops known, both ways
#   burst_grew DEV N / xsk_grew DEV N   that path took at least N packets since burst_mark DEV
#   burst_is_on DEV              the port sends by burst; $FLOOD_TX says that it should
#   port_tx DEV KEY              from xipsec port -j: path, why, paused, burst_packets, ...
#   worker_tid N                 thread xipsec-N of the daemon
#
# FLOOD_TX (burst): the key tx of both ports; empty: none.

FLOOD=$XI_BUILD/tests/net/flood
FLOOD_TX=${FLOOD_TX-burst}
FLOOD_EXACT='.wrong == 0 and .duplicates == 0 and .out_of_order == 0 and .overtaken == 0 and .clear == 0'

declare -A flood_seq=()    # SPI -> sequence number that was used last by what is sealed here

# flood_addrs NAME DEV GW-DEV V4-PREFIX V6-PREFIX V4-LEN: one side of gw1
flood_addrs() {
	local name=$1 dev=$2 gwdev=$3 net4=$4 net6=$5 len4=$6
	local mac gwmac
	mac=$(flood_mac "$name" "$dev") gwmac=$(flood_mac gw1 "$gwdev")
	net_addr "$name" "$dev" "${net4}2/$len4" "${net6}2/64" && net_addr gw1 "$gwdev" "${net4}1/$len4" "${net6}1/64" || return 1
	net_in gw1 ip neigh replace "${net4}2" lladdr "$mac" dev "$gwdev" nud permanent &&
		net_in gw1 ip neigh replace "${net6}2" lladdr "$mac" dev "$gwdev" nud permanent &&
		net_in "$name" ip neigh replace "${net4}1" lladdr "$gwmac" dev "$dev" nud permanent &&
		net_in "$name" ip neigh replace "${net6}1" lladdr "$gwmac" dev "$dev" nud permanent
}

flood_mac() {
	net_in "$1" ip -j link show dev "$2" | jq -r '.[0].address'
}

flood_net() {
	net_add left gw1 right && net_veth left l0 gw1 lan0 "$XI_LAN_MTU" && net_veth gw1 wan0 right r0 "$XI_WAN_MTU" &&
		flood_addrs left l0 lan0 10.1.1. fd00:1:: 24 && flood_addrs right r0 wan0 192.0.2. 2001:db8:: 24 &&
		net_veth left hole0 left hole1 1600 && net_veth right hole0 right hole1 1600 &&
		net_in gw1 ip route add 10.1.2.0/24 via 192.0.2.2 &&
		net_in gw1 ip -6 route add fd00:2::/64 via 2001:db8::2 &&
		mkdir -p "$XI_BPFFS" && mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS"
}

# flood_conf [DAEMON-LINE...]: path of gw1's configuration
flood_conf() {
	local conf line
	conf=$(gw_conf gw1)
	[ -z "$FLOOD_TX" ] || sed -i "/^role/a tx = $FLOOD_TX" "$conf"
	for line; do
		sed -i "/^\[daemon\]/a $line" "$conf"
	done
	echo "$conf"
}

flood_up() {
	[ -x "$FLOOD" ] || tap_skip_all "$FLOOD is not built; make tests builds it"
	flood_net || tap_skip_all "cannot make network namespaces"
	tap_check "the daemon starts" start_daemon gw1 "$(flood_conf "$@")" || tap_done
}

flood_sas() {
	flood_seq=()
	gwctl gw1 xipsec xfrm state flush && gwctl gw1 xipsec xfrm policy flush &&
		tunnel_lines gw1 "$1" "$2" replay-window 1024 | load_lines gw1
}

flood_inner_addr() {
	if [ "$2" = 6 ]; then echo "fd00:$1::2"; else echo "10.1.$1.2"; fi
}

# flood_args encrypt|decrypt OUTER INNER: options of the tool, one a line. The sender's program is parked apart: on the
# sending device it would make that one a receiver of XDP frames.
flood_args() {
	local way=$1 outer=$2 inner=$3 spi from=left:l0 to=right:r0 gwdev=lan0 a=1 b=2 sa=--in
	if [ "$way" = decrypt ]; then
		from=right:r0 to=left:l0 gwdev=wan0 a=2 b=1 sa=--out
	fi
	spi=$(tunnel_spi "$a" "$outer" "$inner")
	printf '%s\n' --from "/run/netns/$XI_NS-$from" --to "/run/netns/$XI_NS-$to" --mac "$(flood_mac gw1 $gwdev)" --park hole0 \
		--src "$(flood_inner_addr $a "$inner")" --dst "$(flood_inner_addr $b "$inner")" \
		$sa "$spi,$(sa_key $((spi))),$(outer_addr $a "$outer"),$(outer_addr $b "$outer"),${flood_seq[$spi]:-0}"
}

# flood_sealed OUTER INNER LABEL: the next flood's sequence numbers go on where this one's ended
flood_sealed() {
	flood_seq[$(tunnel_spi 2 "$1" "$2")]=$(jq .seq "$XI_TMP/$3.json")
}

flood() {
	local args way=$1 outer=$2 inner=$3
	mapfile -t args < <(flood_args "$way" "$outer" "$inner")
	shift 3
	"$FLOOD" "${args[@]}" "$@" > "$XI_TMP/flood.json" || return 1
	[ "$way" = encrypt ] || flood_sealed "$outer" "$inner" flood
	jq -c . "$XI_TMP/flood.json"
}

flood_bg() {
	local args label=$1
	mapfile -t args < <(flood_args "$2" "$3" "$4")
	shift 4
	rm -f "$XI_TMP/$label.json"
	"$FLOOD" "${args[@]}" --status "$XI_TMP/$label.json" "$@" > "$XI_TMP/$label.log" 2>&1 &
	xi_pids["bg $label"]=$!
	wait_for 10 flood_moved "$label" 1
}

# XDP on the receiving device, which spoils frames
FLOOD_SPOIL="--spoil hole0,hole1"
# Nothing is lost with a window below the 256 packets that a veth queue holds, however slow the machine is.
FLOOD_LOSSLESS="--window 200 --patience 5000"

flood_warm() {
	flood encrypt "$1" "$2" --count 200 --window 1 && flood decrypt "$1" "$2" --count 200 --window 1
}

# flood_moved LABEL N: at least so many packets were compared
flood_moved() {
	jq -e ".checked >= $2" "$XI_TMP/$1.json" > /dev/null 2>&1
}

flood_count() {
	jq ".$2" "$XI_TMP/$1.json"
}

# flood_moves LABEL N [SECONDS]: N more packets are compared from now on
flood_moves() {
	wait_for "${3:-10}" flood_moved "$1" $(($(flood_count "$1" checked) + $2))
}

flood_end() {
	local pid=${xi_pids["bg $1"]:-} rc
	[ -n "$pid" ] || return 1
	kill -TERM "$pid" 2> /dev/null
	wait "$pid"
	rc=$?
	unset 'xi_pids["bg '"$1"'"]'
	[ $rc = 0 ] || cat "$XI_TMP/$1.log"
	return $rc
}

flood_is() {
	jq -e "$1" "$XI_TMP/${2:-flood}.json" > /dev/null && return 0
	echo "not so: $1"
	jq -c . "$XI_TMP/${2:-flood}.json"
	gwctl gw1 xipsec stats -j | jq -c '.reasons | with_entries(select(.value > 0))'
	return 1
}

port_tx() {
	gwctl gw1 xipsec port -j | jq -r ".ports[] | select(.name == \"$1\") | .tx.$2"
}

flood_by_burst() {
	local dev=$1 n=$2 expected=$3 try
	shift 3
	if [ "$FLOOD_TX" != burst ]; then
		flood "$@" && flood_is "$expected"
		return
	fi
	for try in 1 2 3; do
		# the longest pause is 16 s
		wait_for 25 burst_is_on "$dev"
		burst_mark "$dev"
		flood "$@" && flood_is "$expected" || return 1
		! burst_grew "$dev" "$n" || return 0
	done
	gwctl gw1 xipsec port -j
	return 1
}

declare -A burst_marks=()
burst_mark() {
	burst_marks["$1 burst"]=$(port_tx "$1" burst_packets)
	burst_marks["$1 xsk"]=$(port_tx "$1" xsk_packets)
}

path_grew() {
	local now
	now=$(port_tx "$2" "$1_packets")
	echo "$1_packets of $2: ${burst_marks["$2 $1"]}, then $now"
	[ $((now - ${burst_marks["$2 $1"]})) -ge "$3" ]
}

burst_grew() {
	path_grew burst "$@"
}

xsk_grew() {
	path_grew xsk "$@"
}

burst_is_on() {
	[ "$(port_tx "$1" path) $(port_tx "$1" paused)" = "burst false" ] && return 0
	gwctl gw1 xipsec port -j | jq -c .ports[]
	return 1
}

reason() {
	gwctl gw1 xipsec stats -j | jq -r ".reasons.$1 // 0"
}

worker_tid() {
	grep -lx "xipsec-$1" "/proc/$(daemon_pid gw1)/task"/*/comm | sed 's|.*/task/||; s|/comm||'
}
