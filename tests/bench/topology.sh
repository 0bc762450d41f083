# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# The benchmark's namespaces and gateways. Source tests/lib/tap.sh and netns.sh first.
#
#   left  +--------+   veth   +----------------+   veth   +--------+  right
#         | l-GW   |----------| lan0  GW  wan0 |----------| r-GW   |
#         +--------+          +----------------+          +--------+
#
# Gateways stand side by side, alike but for what they do, and idle while another is measured.
#
#   bench_cpus               sets CPU_LIST, CPUS (their number), GEN_CPU and GW_CPU (generator's and gateway's),
#                            and GW_SOFTIRQ, the kernel thread that may take over a gateway's softirq work
#   start_ends               the namespaces left and right, and a bpffs
#   start_gateway NAME       what GATEWAYS says about NAME; 1: it cannot be had here, SKIPPED[NAME]
#                            says why; 2: it failed
#   gateway NAME LAN-DEVICE  its namespace, wires, addresses, and neighbours that need no asking
#   set_sink NAME DEV SINK   make DEV, an end of NAME's, receive as SINK wants it
#   tx_status NAME           how an xipsecd sends, and what it sent which way, as JSON; null: not one
#
# THREADS[NAME]: the threads that do NAME's work, as `gen sink` takes them.

# Conf: a line for [daemon], without blanks.
#
# gateway         kind      engine    tx     tunnels  conf
GATEWAYS="
redirect          redirect  -         -      -        -
kernel            kernel    -         -      -        -
forward-xsk       forward   auto      xsk    1        -
forward-burst     forward   auto      burst  1        -
mb-xsk            xipsecd   ipsec-mb  xsk    1        -
mb-burst          xipsecd   ipsec-mb  burst  1        -
mb-xsk-1k         xipsecd   ipsec-mb  xsk    1000     -
mb-burst-1k       xipsecd   ipsec-mb  burst  1000     -
mb-spin           xipsecd   ipsec-mb  burst  1        spin=2000
ssl-xsk           xipsecd   openssl   xsk    1        -
ssl-burst         xipsecd   openssl   burst  1        -
testpmd           peer      -         -      -        -
libipsec          peer      -         -      -        -
wireguard         peer      -         -      -        -
"
GEN=$XI_BUILD/tests/bench/gen
NICE=${NICE:--5}
L_MAC=02:00:00:00:01:02 LAN_MAC=02:00:00:00:01:01 WAN_MAC=02:00:00:00:02:01 R_MAC=02:00:00:00:02:02
declare -A THREADS=() SKIPPED=() GRO=()

bench_cpus() {
	mapfile -t CPU_LIST < <(python3 -S -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
	CPUS=${#CPU_LIST[@]}
	[ "$CPUS" -ge 2 ] || {
		echo "needs two CPUs, one for the generator and one for the gateway; here is $CPUS"
		return 1
	}
	GEN_CPU=${CPU_LIST[0]} GW_CPU=${CPU_LIST[1]}
	GW_SOFTIRQ=$(pgrep -x "ksoftirqd/$GW_CPU")
}

start_ends() {
	local end
	net_add left right || return 1
	mkdir -p "$XI_BPFFS" && mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS" || return 1
	for end in left right; do
		net_in $end sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
	done
}

# gateway_field NAME N
gateway_field() {
	awk -v name="$1" -v n="$2" '$1 == name { print $n }' <<< "$GATEWAYS"
}

gateway() {
	local gw=$1 lan=$2
	net_add "$gw" && net_veth left "l-$gw" "$gw" "$lan" 1600 && net_veth "$gw" wan0 right "r-$gw" 1600 || return 1
	net_in left ip link set dev "l-$gw" address $L_MAC
	net_in right ip link set dev "r-$gw" address $R_MAC
	net_in "$gw" ip link set dev "$lan" address $LAN_MAC
	net_in "$gw" ip link set dev wan0 address $WAN_MAC
	net_addr "$gw" "$lan" 10.1.1.1/24 && net_addr "$gw" wan0 192.0.2.1/24 &&
		net_in "$gw" ip route add 10.1.2.0/24 via 192.0.2.2 &&
		net_in "$gw" ip route add 10.3.0.0/16 via 192.0.2.2 &&
		net_in "$gw" ip neigh add 10.1.1.2 lladdr $L_MAC dev "$lan" nud permanent &&
		net_in "$gw" ip neigh add 192.0.2.2 lladdr $R_MAC dev wan0 nud permanent
}

# net_veth leaves GRO on. Without it a veth has no NAPI, and frames that come through ndo_xdp_xmit
# vanish: only what AF_XDP sends may meet a sink without it.
set_sink() {
	local gw=$1 dev=$2 gro=on end=right
	[ "$dev" != "l-$gw" ] || end=left
	[ "$3 $(gateway_field "$gw" 4)" != "tc xsk" ] || gro=off
	[ "${GRO[$dev]:-on}" != $gro ] || return 0
	net_in $end ethtool -K "$dev" gro $gro && GRO[$dev]=$gro
}

# The redirecting gateway has no thread of its own: its device's NAPI gets one, on the gateway's core.
start_redirect() {
	local dev=x$$ tid
	gateway redirect $dev || return 2
	net_bg redirect redirect "$GEN" forward $dev wan0
	net_in redirect unshare -m sh -c 'mount -t sysfs sysfs /sys && echo 1 > "/sys/class/net/$1/threaded"' sh $dev ||
		return 2
	tid=$(ps -eo pid=,comm= | awk -v n="^napi/$dev-" '$2 ~ n { print $1; exit }')
	[ -n "$tid" ] || { echo "no NAPI thread for $dev"; return 2; }
	THREADS[redirect]=$tid
	taskset -pc "$GW_CPU" "$tid" > /dev/null && renice -n "$NICE" -p "$tid" > /dev/null
}

# The kernel's own forwarding, for latency: all of it is softirq work of the sender.
start_kernel() {
	gateway kernel lan0 || return 2
	THREADS[kernel]=
}

# pin_process NAME PID: all of its threads onto the gateway's core
pin_process() {
	local task
	taskset -apc "$GW_CPU" "$2" > /dev/null
	for task in "/proc/$2/task"/*; do
		renice -n "$NICE" -p "${task##*/}" > /dev/null
		[ "$(cat "$task/comm")" != xipsec-0 ] || THREADS[$1]=${task##*/}
	done
}

# write_conf NAME ENGINE TX TUNNELS [CONF]: prints its path
write_conf() {
	local conf
	# each tunnel has an SA either way
	conf=$(gw_conf "$1" "[cache]" "sa-entries = $(($4 > 256 ? 4 * $4 : 1024))")
	sed -i -e "/^\[daemon\]/a engine = $2" -e "/^\[port /a tx = $3" "$conf"
	[ "${5:--}" = - ] || sed -i "/^\[daemon\]/a $5" "$conf"
	echo "$conf"
}

# start_xipsecd NAME ENGINE TX TUNNELS [CONF]
start_xipsecd() {
	local gw=$1 conf
	if [ "$2" = ipsec-mb ] && ! { grep -qw aes /proc/cpuinfo && grep -qw pclmulqdq /proc/cpuinfo; }; then
		SKIPPED[$gw]="this CPU lacks what ipsec-mb needs (AES and PCLMULQDQ)"
		return 1
	fi
	gateway "$gw" lan0 || return 2
	conf=$(write_conf "$gw" "$2" "$3" "$4" "${5:-}")
	start_daemon "$gw" "$conf" || return 2
	pin_process "$gw" "$(daemon_pid "$gw")"
	[ -n "${THREADS[$gw]:-}" ] || { echo "gateway $gw has no worker"; return 2; }
	tests/bench/tunnels.py --count "$4" | gwctl "$gw" xipsec run ip -batch - || return 2
}

start_forward() {
	XIPSEC_FORWARD_ONLY=1 start_xipsecd "$@"
}

start_peer() {
	local why
	if why=$(peer_missing "$1"); then
		SKIPPED[$1]=$why
		return 1
	fi
	"start_$1" || return 2
	THREADS[$1]=p${PEER_PID[$1]}
}

start_gateway() {
	local kind args
	read -r _ kind args < <(grep -w -- "^$1 " <<< "$GATEWAYS")
	[ -n "$kind" ] || { echo "there is no gateway $1"; return 2; }
	# shellcheck disable=SC2086
	"start_$kind" "$1" $args
}

# A daemon that cannot send as it was told falls back to AF_XDP: what was measured is what it says.
tx_status() {
	local status
	case $(gateway_field "$1" 2) in
	forward | xipsecd) ;;
	*) echo null; return ;;
	esac
	status=$(gwctl "$1" xipsec port -j 2> "$XI_TMP/port.err") || status='{"ports": []}'
	jq -c '[.ports[] | select(.name == "lan0" or .name == "wan0") | .tx] |
		{path: (map(.path) | unique | join("+")), burst: (map(.burst_packets) | add // 0),
		xsk: (map(.xsk_packets) | add // 0)}' <<< "$status"
}
