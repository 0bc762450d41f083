#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The benchmark: what ESP costs, held against plain forwarding on the same wire in the same minutes.
#
#   tests/bench/run.sh [-r ROUNDS] [-s SECONDS] [-o DIR] [-c CASES] [-z SIZES] [-n NICE] [-g]
#     ROUNDS 3, SECONDS 1 a measurement, DIR build/bench
#     CASES "redirect forward encrypt-ipsec-mb encrypt-openssl decrypt-ipsec-mb decrypt-openssl"
#     SIZES "64 512 1408 imix", bytes of IP packet; -g: the sinks receive by NAPI with GRO, as the ports
#     of another XDP gateway would, which makes the common part of all AF_XDP cases dearer
#
#   left  +--------+   veth   +----------------+   veth   +--------+  right
#         | l-GW   |----------| lan0  GW  wan0 |----------| r-GW   |
#         +--------+          +----------------+          +--------+
#   redirect, forward, encrypt: from left to right; decrypt: from right to left. The generator has
#   the first CPU, the gateway the second: doc/benchmarks.md says what of the kernel runs on which.
#
# There are four gateways side by side, alike but for what they do, and idle while another is measured:
# redirect (an XDP program), forward (xipsecd that forwards without crypto), mb and ssl (xipsecd with
# one engine each). Rounds go over all cases, so that what disturbs the machine disturbs all of them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh

ROUNDS=3 SECONDS_EACH=1 OUT=$XI_BUILD/bench NICE=-5 GRO=
CASES="redirect forward encrypt-ipsec-mb encrypt-openssl decrypt-ipsec-mb decrypt-openssl"
SIZES="64 512 1408 imix"
PROGRESS=
[ ! -t 2 ] || PROGRESS=yes
GEN=$XI_BUILD/tests/bench/gen
L_MAC=02:00:00:00:01:02 LAN_MAC=02:00:00:00:01:01 WAN_MAC=02:00:00:00:02:01 R_MAC=02:00:00:00:02:02

die() {
	echo "bench: $*" >&2
	exit 1
}

while getopts r:s:o:c:z:n:g opt; do
	case $opt in
	r) ROUNDS=$OPTARG ;;
	s) SECONDS_EACH=$OPTARG ;;
	o) OUT=$OPTARG ;;
	c) CASES=$OPTARG ;;
	z) SIZES=$OPTARG ;;
	n) NICE=$OPTARG ;;
	g) GRO=yes ;;
	*) sed -n '4,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
[ "$(id -u)" = 0 ] || die "needs root, for network namespaces and XDP"
[ -x "$GEN" ] || die "$GEN is not built: run make bench"
mapfile -t cpus < <(python3 -S -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
[ ${#cpus[@]} -ge 2 ] || die "needs two CPUs, one for the generator and one for the gateway; here is ${#cpus[@]}"
GEN_CPU=${cpus[0]} GW_CPU=${cpus[1]}

# gateway NAME LAN-DEVICE: its namespace, wires, addresses, and neighbours that need no asking
gateway() {
	local gw=$1 lan=$2
	net_add "$gw" && net_veth left "l-$gw" "$gw" "$lan" 1600 && net_veth "$gw" wan0 right "r-$gw" 1600 || return 1
	# a sink behind GRO would sum up UDP checksums of plain packets, and not those of ESP
	[ -n "$GRO" ] || [ "$gw" = redirect ] || { net_in left ethtool -K "l-$gw" gro off && net_in right ethtool -K "r-$gw" gro off; } ||
		return 1
	net_in left ip link set dev "l-$gw" address $L_MAC
	net_in right ip link set dev "r-$gw" address $R_MAC
	net_in "$gw" ip link set dev "$lan" address $LAN_MAC
	net_in "$gw" ip link set dev wan0 address $WAN_MAC
	net_addr "$gw" "$lan" 10.1.1.1/24 && net_addr "$gw" wan0 192.0.2.1/24 &&
		net_in "$gw" ip route add 10.1.2.0/24 via 192.0.2.2 &&
		net_in "$gw" ip neigh add 10.1.1.2 lladdr $L_MAC dev "$lan" nud permanent &&
		net_in "$gw" ip neigh add 192.0.2.2 lladdr $R_MAC dev wan0 nud permanent
}

# The redirecting gateway has no thread of its own: its device's NAPI gets one, on the gateway's core.
start_redirect() {
	local dev=x$$
	gateway redirect $dev || return 1
	net_bg redirect redirect "$GEN" forward $dev wan0
	net_in redirect unshare -m sh -c 'mount -t sysfs sysfs /sys && echo 1 > "/sys/class/net/$1/threaded"' sh $dev ||
		return 1
	TID[redirect]=$(ps -eo pid=,comm= | awk -v n="^napi/$dev-" '$2 ~ n { print $1; exit }')
	[ -n "${TID[redirect]}" ] || { echo "no NAPI thread for $dev"; return 1; }
	taskset -pc "$GW_CPU" "${TID[redirect]}" > /dev/null && renice -n "$NICE" -p "${TID[redirect]}" > /dev/null
}

# start_gateway NAME ENGINE: the daemon, all of its threads on the gateway's core
start_gateway() {
	local gw=$1 conf pid task
	gateway "$gw" lan0 || return 1
	conf=$(gw_conf "$gw")
	sed -i "/^\[daemon\]/a engine = $2" "$conf"
	start_daemon "$gw" "$conf" || return 1
	pid=$(daemon_pid "$gw")
	taskset -apc "$GW_CPU" "$pid" > /dev/null
	for task in "/proc/$pid/task"/*; do
		renice -n "$NICE" -p "${task##*/}" > /dev/null
		[ "$(cat "$task/comm")" != xipsec-0 ] || TID[$gw]=${task##*/}
	done
	# replay window 0: frames of a capture may come over and over
	tunnel_lines gw1 4 4 replay-window 0 | load_lines "$gw"
}

declare -A TID=()
start_gateways() {
	local ends
	net_add left right
	mkdir -p "$XI_BPFFS" && mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS" || return 1
	for ends in left right; do
		net_in $ends sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
	done
	case $CASES in *redirect*) start_redirect || return 1 ;; esac
	case $CASES in *forward*) XIPSEC_FORWARD_ONLY=1 start_gateway forward auto || return 1 ;; esac
	case $CASES in *ipsec-mb*) start_gateway mb ipsec-mb || return 1 ;; esac
	case $CASES in *openssl*) start_gateway ssl openssl || return 1 ;; esac
}

make_frames() {
	local size in
	in=$(tunnel_spi 2 4 4)
	for size in $SIZES; do
		tests/bench/frames.py --out "$OUT/clear-$size.pcap" --eth-src $L_MAC --eth-dst $LAN_MAC \
			--src 10.1.1.2 --dst 10.1.2.2 --size "$size" || return 1
		tests/bench/frames.py --out "$OUT/esp-$size.pcap" --eth-src $R_MAC --eth-dst $WAN_MAC \
			--src 10.1.2.2 --dst 10.1.1.2 --size "$size" --esp --outer-src 192.0.2.2 \
			--outer-dst 192.0.2.1 --spi "$in" --key "$(sa_key $((in)))" || return 1
	done
}

# measure ROUND CASE SIZE: one line of runs.jsonl
measure() {
	local round=$1 case=$2 size=$3 gw from=left to=right frames=clear sink=tc samples sender rc
	case $case in
	redirect) gw=redirect sink=xdp ;;
	forward) gw=forward ;;
	*-ipsec-mb) gw=mb ;;
	*-openssl) gw=ssl ;;
	esac
	case $case in decrypt*) from=right to=left frames=esp ;; esac
	samples=$OUT/samples/$case-$size-$round.pcap
	nice -n "$NICE" taskset -c "$GEN_CPU" nsenter --net="/run/netns/$XI_NS-$from" -- \
		"$GEN" send "${from:0:1}-$gw" "$OUT/$frames-$size.pcap" 60 > "$XI_TMP/send.json" &
	sender=$!
	xi_pids["bg send"]=$sender
	net_in $to taskset -c "$GEN_CPU" "$GEN" sink "${to:0:1}-$gw" "$SECONDS_EACH" $sink "$samples" \
		"${TID[$gw]}" > "$XI_TMP/sink.json"
	rc=$?
	kill "$sender"
	wait "$sender" || rc=1
	[ $rc = 0 ] || return 1
	jq -c --arg case "$case" --arg size "$size" --argjson round "$round" --arg frames "$OUT/$frames-$size.pcap" \
		--arg samples "$samples" --slurpfile sent "$XI_TMP/send.json" \
		'{case: $case, size: $size, round: $round, frames: $frames, samples: $samples, offered: $sent[0].mpps} + .' \
		"$XI_TMP/sink.json" >> "$OUT/runs.jsonl"
}

check_runs() {
	local out in
	out=$(tunnel_spi 1 4 4) in=$(tunnel_spi 2 4 4)
	tests/bench/check.py --spi-out "$out" --key-out "$(sa_key $((out)))" --spi-in "$in" \
		--key-in "$(sa_key $((in)))" "$OUT/runs.jsonl" || die "the runs are not what they should be; no result"
}

# A gateway may lose what it has no time to receive, and nothing else.
check_drops() {
	local gw
	for gw in mb ssl; do
		[ -n "${TID[$gw]:-}" ] || continue
		gwctl $gw xipsec stats -j > "$OUT/stats-$gw.json" || return 1
		jq -e '.drops - .reasons.rx_full == 0 and (.reasons.slow_in + .reasons.slow_out) * 100 <
			.reasons.fast_in + .reasons.fast_out' "$OUT/stats-$gw.json" > /dev/null || {
			echo "gateway $gw: $(jq -c '.reasons | with_entries(select(.value > 0))' "$OUT/stats-$gw.json")"
			return 1
		}
	done
}

if ! grep -qw aes /proc/cpuinfo || ! grep -qw pclmulqdq /proc/cpuinfo; then
	echo "bench: this CPU lacks what ipsec-mb needs (AES and PCLMULQDQ): measuring without it"
	CASES=${CASES//encrypt-ipsec-mb/} CASES=${CASES//decrypt-ipsec-mb/}
fi
mkdir -p "$OUT/samples" && rm -f "$OUT"/samples/* "$OUT/runs.jsonl" || exit 1
make_frames || die "cannot make the frames"
start_gateways || die "cannot set up the gateways"
for ((round = 1; round <= ROUNDS; round++)); do
	for size in $SIZES; do
		for case in $CASES; do
			[ -z "$PROGRESS" ] || printf '\rround %d of %d: %-6s %-18s' $round "$ROUNDS" "$size" "$case" >&2
			measure $round "$case" "$size" || die "$case at $size bytes failed"
		done
	done
	[ $round != 1 ] || check_runs
done
[ -z "$PROGRESS" ] || printf '\r%-60s\r' '' >&2
check_runs
check_drops || die "packets were dropped that should not be, or missed the fast way"
tests/bench/report.py --json "$OUT/bench.json" --svg "$OUT/bench.svg" "$OUT/runs.jsonl"
