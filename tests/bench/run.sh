#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The benchmark: what a gateway carries, each case beside the others on the same wire in the same minutes.
#
#   tests/bench/run.sh [-p SET] [-c CASES] [-z SIZES] [-r ROUNDS] [-s SECONDS] [-o DIR] [-n NICE] [-e EXTRAS]
#     SET short (default), check or peers: presets of the other options, which may follow
#     CASES names of the table below, each of them with @SINK (tc, skb or xdp) or for all of its sinks;
#     +CASE adds to the preset's
#     SIZES "64 512 1408 imix", bytes of IP packet; SECONDS a measurement; DIR build/bench
#     EXTRAS of "idle latency foreign workers engines", or none: doc/benchmarks.md
#
# Ends with 1 when a goal is not met or could not be judged, with 3 when there is no result.
# Rounds go over all cases, so that what disturbs the machine disturbs all of them. The generator has
# the first CPU, the gateway the second: doc/benchmarks.md says what of the kernel runs on which.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/bench/topology.sh
. tests/bench/peers.sh

# Sinks: tc builds skbs and has no NAPI, the cheapest; skb builds them by NAPI with GRO; xdp is a
# native XDP program. Frames of burst transmit, and of redirect, reach none without NAPI.
#
# case                gateway        from   sinks
CASE_TABLE="
redirect              redirect       left   xdp
forward-xsk           forward-xsk    left   tc skb xdp
forward-burst         forward-burst  left   skb xdp
encrypt-xsk           mb-xsk         left   tc skb xdp
decrypt-xsk           mb-xsk         right  tc skb xdp
encrypt-burst         mb-burst       left   skb xdp
decrypt-burst         mb-burst       right  skb xdp
encrypt-xsk-1k        mb-xsk-1k      left   tc skb xdp
decrypt-xsk-1k        mb-xsk-1k      right  tc skb xdp
encrypt-burst-1k      mb-burst-1k    left   skb xdp
decrypt-burst-1k      mb-burst-1k    right  skb xdp
encrypt-xsk-openssl   ssl-xsk        left   tc skb xdp
decrypt-xsk-openssl   ssl-xsk        right  tc skb xdp
encrypt-burst-openssl ssl-burst      left   skb xdp
decrypt-burst-openssl ssl-burst      right  skb xdp
testpmd               testpmd        left   skb xdp
libipsec              libipsec       left   skb xdp
wireguard             wireguard      left   skb xdp
"
BOTH_TX="redirect forward-xsk@tc forward-burst@xdp encrypt-xsk decrypt-xsk encrypt-burst decrypt-burst"
MANY="encrypt-xsk-1k@tc decrypt-xsk-1k@tc encrypt-burst-1k@xdp decrypt-burst-1k@xdp"
declare -A SET_CASES=([short]=$BOTH_TX [check]=$BOTH_TX
	[peers]="$BOTH_TX $MANY forward-xsk@skb testpmd libipsec wireguard")
declare -A SET_SIZES=([short]="64 512 1408 imix" [check]="64 1408" [peers]="64 512 1408 imix")
declare -A SET_ROUNDS=([short]=3 [check]=5 [peers]=5)
declare -A SET_SECONDS=([short]=0.3 [check]=0.3 [peers]=0.5)
declare -A SET_EXTRAS=([short]="idle latency foreign workers engines" [check]=none
	[peers]="idle latency foreign workers engines")

PACKETS_ENOUGH=10000       # with them, a sink has kept the samples that check.py wants
OUT=$XI_BUILD/bench PROGRESS=
[ ! -t 2 ] || PROGRESS=yes

die() {
	echo "bench: $*" >&2
	exit 3
}

preset() {
	[ -n "${SET_CASES[$1]:-}" ] || die "no set is called $1: short, check or peers"
	CASES=${SET_CASES[$1]} SIZES=${SET_SIZES[$1]} ROUNDS=${SET_ROUNDS[$1]}
	SECONDS_EACH=${SET_SECONDS[$1]} EXTRAS=${SET_EXTRAS[$1]}
}

preset short
while getopts p:c:z:r:s:o:n:e: opt; do
	case $opt in
	p) preset "$OPTARG" ;;
	c) case $OPTARG in +*) CASES+=" ${OPTARG//+/}" ;; *) CASES=$OPTARG ;; esac ;;
	z) SIZES=$OPTARG ;;
	r) ROUNDS=$OPTARG ;;
	s) SECONDS_EACH=$OPTARG ;;
	o) OUT=$OPTARG ;;
	n) NICE=$OPTARG ;;
	e) EXTRAS=$OPTARG ;;
	*) sed -n '5,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
[ "$(id -u)" = 0 ] || die "needs root, for network namespaces and XDP"
[ -x "$GEN" ] || die "$GEN is not built: run make bench"
why=$(bench_cpus) || die "$why"
bench_cpus

# case_field CASE N
case_field() {
	awk -v name="$1" -v n="$2" '$1 == name { for (i = n; i <= (n < 4 ? n : NF); i++) print $i }' <<< "$CASE_TABLE"
}

# UNITS: every case with its sink, of the gateways that could be started
list_units() {
	local case sink sinks
	UNITS=
	for case in $CASES; do
		sinks=$(case_field "${case%@*}" 4)
		[ -n "$sinks" ] || die "no case is called ${case%@*}"
		for sink in $sinks; do
			case $case in *@*) [ "${case#*@}" = "$sink" ] || continue ;; esac
			UNITS+=" ${case%@*}@$sink"
		done
		case " $UNITS " in *" ${case%@*}@"*) ;; *) die "${case%@*} has no such sink: $case" ;; esac
	done
}

start_gateways() {
	local unit gw kept='' wanted='' rc
	start_ends || return 1
	for unit in $UNITS; do
		wanted+=" $(case_field "${unit%@*}" 2)"
	done
	case " $EXTRAS " in *" latency "*) wanted+=" kernel mb-spin" ;; esac
	: > "$OUT/gateways.jsonl"
	for gw in $(tr ' ' '\n' <<< "$wanted" | sort -u); do
		start_gateway "$gw"
		rc=$?
		[ $rc -lt 2 ] || { echo "gateway $gw did not start" >&2; return 1; }
		[ $rc != 0 ] || [ "$(gateway_field "$gw" 2)" != peer ] || make_peer_frames "$gw" || return 1
		jq -nc --arg gateway "$gw" --arg skipped "${SKIPPED[$gw]:-}" --arg version "$(gateway_version "$gw")" \
			'{$gateway, skipped: (if $skipped == "" then null else $skipped end), $version}' >> "$OUT/gateways.jsonl"
	done
	for unit in $UNITS; do
		gw=$(case_field "${unit%@*}" 2)
		[ -n "${SKIPPED[$gw]+set}" ] || { kept+=" $unit"; continue; }
		echo "$unit: skipped: ${SKIPPED[$gw]}"
	done
	UNITS=$kept
}

gateway_version() {
	case $(gateway_field "$1" 2) in
	peer) [ -n "${SKIPPED[$1]+set}" ] || peer_version "$1" ;;
	forward | xipsecd) "$XI_DAEMON" --version ;;
	*) echo "Linux $(uname -r)" ;;
	esac
}

# make_frames TUNNELS SIZE: they are the same each time, and take their time to make
make_frames() {
	local count=$1 size=$2 left=$OUT/left-$1-$2.pcap right=$OUT/right-$1-$2.pcap frames
	# few enough to stay in the generator's cache, and a multiple of IMIX's dozen
	frames=$((count > 120 ? count : 120))
	if [ "$left" -nt tests/bench/frames.py ] && [ "$right" -nt "$left" ] && [ "$left" -nt tests/bench/tunnels.py ]; then
		return 0
	fi
	tests/bench/frames.py --out "$left" --eth-src $L_MAC --eth-dst $LAN_MAC --src 10.1.1.2 \
		--tunnels "$OUT/tunnels-$count.json" --size "$size" --count $frames || return 1
	tests/bench/frames.py --out "$right.new" --eth-src $R_MAC --eth-dst $WAN_MAC --dst 10.1.1.2 \
		--tunnels "$OUT/tunnels-$count.json" --size "$size" --count $frames --esp \
		--outer-src 192.0.2.2 --outer-dst 192.0.2.1 && mv "$right.new" "$right"
}

make_all_frames() {
	local size count
	for count in 1 1000; do
		tests/bench/tunnels.py --count $count --json "$OUT/tunnels-$count.json" > /dev/null || return 1
		case $count$UNITS in 1*-1k@* | 1\ *) ;; *) continue ;; esac
		for size in $SIZES; do
			make_frames $count "$size" || return 1
		done
	done
}

# make_peer_frames NAME: where it does not take all of the others, shorter ones
make_peer_frames() {
	local size
	[ "$(peer_mtu "$1")" -lt 1500 ] || return 0
	for size in $SIZES; do
		tests/bench/frames.py --out "$OUT/left-$1-$size.pcap" --eth-src $L_MAC --eth-dst $LAN_MAC --src 10.1.1.2 \
			--dst 10.1.2.2 --size "$size" --mtu "$(peer_mtu "$1")" --count 120 || return 1
	done
}

# send_and_count GATEWAY FROM FRAMES SINK SAMPLES: leaves send.json and sink.json
send_and_count() {
	local gw=$1 from=$2 to=right threads=${THREADS[$1]} hold=-
	[ "$from" = left ] || to=left
	# peers are judged by rate
	if [ "$(gateway_field "$gw" 2)" != peer ]; then
		hold=$GW_CPU
		threads+=${GW_SOFTIRQ:+,$GW_SOFTIRQ}
	fi
	set_sink "$gw" "${to:0:1}-$gw" "$4" &&
		net_in $to nice -n "$NICE" taskset -c "$GEN_CPU" "$GEN" sink "${to:0:1}-$gw" "$SECONDS_EACH" "$4" "$5" \
			"$threads" "$hold" nsenter --net="/run/netns/$XI_NS-$from" -- \
			sh -c 'exec "$1" send "$2" "$3" 60 > "$4"' sh "$GEN" "${from:0:1}-$gw" "$3" "$XI_TMP/send.json" \
			> "$XI_TMP/sink.json"
}

# measure ROUND UNIT SIZE: one line of runs.jsonl
declare -A TX_BEFORE=()
measure() {
	local round=$1 case=${2%@*} sink=${2#*@} size=$3 gw from count=1 frames samples rc try tx mtu=1500
	gw=$(case_field "$case" 2) from=$(case_field "$case" 3)
	case $case in *-1k) count=1000 ;; esac
	if [ "$(gateway_field "$gw" 2)" = peer ]; then
		mtu=$(peer_mtu "$gw")
		[ "$mtu" -ge 1500 ] || count=$gw
		peer_wake "$gw"
	fi
	frames=$OUT/$from-$count-$size.pcap samples=$OUT/samples/$case-$sink-$size-$round.pcap
	# on a busy machine a generator or a gateway may be kept waiting for all of the time that counts
	for try in 1 2 3; do
		send_and_count "$gw" "$from" "$frames" "$sink" "$samples"
		rc=$?
		[ $rc = 0 ] && [ "$(jq .packets "$XI_TMP/sink.json")" -lt $PACKETS_ENOUGH ] || break
	done
	[ "$(gateway_field "$gw" 2)" != peer ] || peer_rest "$gw"
	[ $rc = 0 ] || return 1
	tx=$(tx_status "$gw")
	jq -c --arg case "$case" --arg sink "$sink" --arg size "$size" --argjson round "$round" --arg frames "$frames" \
		--arg samples "$samples" --arg tunnels "$OUT/tunnels-$count.json" --slurpfile sent "$XI_TMP/send.json" \
		--argjson tx "$tx" --argjson before "${TX_BEFORE[$gw]:-null}" --argjson tries "$try" --argjson gateway_cpu "$GW_CPU" \
		--argjson mtu "$mtu" \
		'def rate($from; $to): $sent[0] | if (.marks | length) == 4 then
			(.marks[$to][1] - .marks[$from][1]) / (.marks[$to][0] - .marks[$from][0]) / 1e6 else .mpps end;
		{$case, $sink, $size, $round, $tries, $gateway_cpu, $mtu, $frames, $samples, $tunnels, offered: rate(0; 1),
		tx: (if $tx then {path: $tx.path, burst: ($tx.burst - ($before.burst // 0)),
			xsk: ($tx.xsk - ($before.xsk // 0))} else null end)} + . |
		if .held then .held.offered = rate(2; 3) else . end' "$XI_TMP/sink.json" >> "$OUT/runs.jsonl" ||
		return 1
	TX_BEFORE[$gw]=$tx
}

check_runs() {
	tests/bench/check.py "$OUT/runs.jsonl" || die "the runs are not what they should be; no result"
}

# A gateway may lose what it has no time to receive, and next to nothing else.
check_drops() {
	local gw
	for gw in "${!THREADS[@]}"; do
		[ "$(gateway_field "$gw" 2)" = xipsecd ] || continue
		gwctl "$gw" xipsec stats -j > "$OUT/stats-$gw.json" || return 1
		jq -e '.reasons.burst_lost * 100 <= .reasons.tx_burst and
			.drops - .reasons.rx_full - .reasons.burst_lost == 0 and (.reasons.slow_in + .reasons.slow_out) * 100 <=
			.reasons.fast_in + .reasons.fast_out' "$OUT/stats-$gw.json" > /dev/null || {
			echo "gateway $gw: $(jq -c '.reasons | with_entries(select(.value > 0))' "$OUT/stats-$gw.json")"
			return 1
		}
	done
}

rounds() {
	local round size unit
	for ((round = 1; round <= ROUNDS; round++)); do
		for size in $SIZES; do
			for unit in $UNITS; do
				[ -z "$PROGRESS" ] ||
					printf '\rround %d of %d: %-6s %-28s' $round "$ROUNDS" "$size" "$unit" >&2
				measure $round "$unit" "$size" || die "$unit at $size bytes failed"
			done
		done
		[ $round != 1 ] || check_runs
	done
	[ -z "$PROGRESS" ] || printf '\r%-60s\r' '' >&2
}

mkdir -p "$OUT/samples" && rm -f "$OUT"/samples/* "$OUT"/*.jsonl "$OUT"/bench.* "$OUT/engines.json" || die "cannot write to $OUT"
list_units
make_all_frames || die "cannot make the frames"
start_gateways || die "cannot set up the gateways"
rounds
check_runs
check_drops || die "packets were dropped that should not be, or missed the fast way"
. tests/bench/extras.sh
engines=()
[ ! -e "$OUT/engines.json" ] || engines=(--engines "$OUT/engines.json")
tests/bench/report.py --gateways "$OUT/gateways.jsonl" --extras "$OUT/extras.jsonl" "${engines[@]}" \
	--json "$OUT/bench.json" --svg "$OUT/bench.svg" "$OUT/runs.jsonl"
