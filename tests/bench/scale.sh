#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The benchmark of many SAs behind a small table: doc/benchmarks.md says what is measured, and how.
#
#   tests/bench/scale.sh [-r ROUNDS] [-n "SAS..."] [-z "SIZES..."] [-o DIR] [SECTION...]
#     SECTION throughput, policies, misses, reconfig, floods; all of them when none is named
#     SAS "1 100 10000 100000 1000000"; SIZES "64 1408", bytes of IP packet; DIR build
#
# Prints tables and goals and leaves DIR/bench-scale.json and .svg; sections that were not run keep what the last run
# found. Ends with 1 when a goal is not met or could not be judged, with 3 when there is no result.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/bench/topology.sh
. tests/bench/scale_topology.sh

SECTIONS="throughput policies misses reconfig floods"
SAS="1 100 10000 100000 1000000" SIZES="64 1408" ROUNDS=3 DIR=$XI_BUILD
SA_ENTRIES=1024
SLOW_ENTRIES=64            # of the gateways whose uniform traffic is the slow method's own rate
SLOW_FROM=10000            # SAs: with fewer, that table holds too many of them
ADMIT_SIM=$XI_BUILD/tests/bench/admit_sim
MISS_RATES="1000 3000 10000 30000 100000"
MISS_MS=2000
MISS_SAS=100000
DRAIN_MS=500               # without an arrival, and nothing comes any more
LIVE_PPS=50000
RECONFIG_SAS=20000
RECONFIG_MS=3000
FLOOD_SAS=100000

die() {
	echo "scale: $*" >&2
	exit 3
}

while getopts r:n:z:o: opt; do
	case $opt in
	r) ROUNDS=$OPTARG ;;
	n) SAS=$OPTARG ;;
	z) SIZES=$OPTARG ;;
	o) DIR=$OPTARG ;;
	*) sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
for section; do
	case " $SECTIONS " in *" $section "*) ;; *) die "no section is called $section: $SECTIONS" ;; esac
done
WANTED=${*:-$SECTIONS}
[ "$(id -u)" = 0 ] || die "needs root, for network namespaces and XDP"
[ -x "$SCALE_GEN" ] || die "$SCALE_GEN is not built: run make bench-scale"
why=$(bench_cpus) || die "$why"
bench_cpus
MOST=$(tr ' ' '\n' <<< "$SAS" | sort -n | tail -n 1)
OUT=$DIR/bench-scale PROGRESS=
[ ! -t 2 ] || PROGRESS=yes

progress() {
	[ -z "$PROGRESS" ] || printf '\r%-70s' "$*" >&2
}

# need NAME SAS ENTRIES: that gateway, unless it runs already
need() {
	[ -z "${CONTROL[$1]:-}" ] || return 0
	progress "gateway $1: $2 SAs"
	scale_gateway "$@" || die "gateway $1 did not start"
}

orders_of() {
	if [ "$1" = 1 ]; then echo hot; else echo hot zipf uniform; fi
}

# one_rate KIND GATEWAY WAY SIZE N ORDER ROUND: the table gets used to the order first
one_rate() {
	local kind=$1 gw=$2 way=$3 size=$4 n=$5 order=$6 round=$7
	progress "throughput, round $round: $size bytes, $order of $n, $kind"
	gen_run "$gw" "$way" "flood=esp:$order:$n" warm=$WARM_MS &&
		measure "$gw" "$way" "$(jq -nc --arg kind "$kind" --arg order "$order" --argjson size "$size" --argjson n "$n" \
			--argjson round "$round" '{section: "throughput", $kind, $size, $n, $order, $round}')" \
			"flood=esp:$order:$n" warm=$WARM_MS "time=$TIME_MS" "hold=$GW_CPU" ||
		die "$order of $n SAs at $size bytes failed"
}

rates_of_size() {
	local size=$1 round n order
	gen_start "$MOST" "$size" || die "the generator did not start"
	for ((round = 1; round <= ROUNDS; round++)); do
		for n in $SAS; do
			for order in $(orders_of "$n"); do
				[ $round != 1 ] || one_rate redirect redirect out "$size" "$n" "$order" $round
				one_rate fast "n$n" in "$size" "$n" "$order" $round
				[ "$order" != uniform ] || [ "$n" -lt $SLOW_FROM ] ||
					one_rate slow "s$n" in "$size" "$n" uniform $round
			done
		done
	done
	gen_stop
}

section_throughput() {
	local n size
	start_redirect || die "cannot redirect"
	for n in $SAS; do
		need "n$n" "$n" $SA_ENTRIES
		[ "$n" -lt $SLOW_FROM ] || need "s$n" "$n" $SLOW_ENTRIES
	done
	for size in $SIZES; do
		rates_of_size "$size"
	done
}

# Traces, not packets: the daemon's own admission code, and what an oracle would have kept.
section_policies() {
	local file=$OUT/policies.json
	if [ ! -x "$ADMIT_SIM" ]; then
		jq -nc --arg why "$ADMIT_SIM is not built" '{section: "policies", skipped: $why}' >> "$RUNS"
		return
	fi
	progress "policies: simulation"
	"$ADMIT_SIM" --json "$file" > /dev/null || die "$ADMIT_SIM failed"
	jq -c '{section: "policies", result: .}' "$file" >> "$RUNS"
}

# Every packet is another SA's, of more than the table holds: each misses. A daemon a rate, for its histogram of times
# goes back to its start.
section_misses() {
	local rate
	# as many messages as there are misses: what the control thread can do, not what it is asked to
	for rate in $MISS_RATES; do
		SCALE_MISSES=100000 need "m$rate" $MISS_SAS $SA_ENTRIES
	done
	gen_start $MISS_SAS 64 || die "the generator did not start"
	for rate in $MISS_RATES; do
		progress "misses: $rate a second"
		measure "m$rate" in "{\"section\": \"misses\", \"rate\": $rate, \"n\": $MISS_SAS}" \
			"flood=esp:scan:$MISS_SAS:$rate" warm=$MISS_MS drain=$DRAIN_MS || die "$rate misses a second failed"
	done
	gen_stop
}

# reconfig NAME [ARGUMENT...]: live traffic while install.c does that
reconfig() {
	local gw=reconfig result=null
	progress "reconfiguration: $1"
	scale_stats $gw > "$XI_TMP/before.json"
	echo "run way=in dev=$gw live=esp:live:64:$LIVE_PPS warm=$RECONFIG_MS drain=$DRAIN_MS worker=${THREADS[$gw]} \
control=${CONTROL[$gw]}" >&"${GENERATOR[1]}"
	if [ $# -gt 1 ]; then
		wait_for 5 live_moves $gw || die "the live traffic does not arrive"
		result=$(scale_install $gw "${@:2}") || die "$* failed"
	fi
	gen_answer || die "live traffic beside $1 failed"
	scale_stats $gw > "$XI_TMP/after.json"
	jq -c --arg job "$1" --argjson change "$result" --argjson rate $LIVE_PPS --slurpfile before "$XI_TMP/before.json" \
		--slurpfile after "$XI_TMP/after.json" '{section: "reconfig", $job, $change, $rate} + . + {reasons:
		($after[0].reasons | with_entries(.value -= ($before[0].reasons[.key] // 0)) | with_entries(select(.value != 0)))}' \
		"$XI_TMP/run.json" >> "$RUNS"
}

live_moves() {
	[ "$(scale_stats "$1" | jq .reasons.to_worker)" -gt "$(jq '.reasons.to_worker // 0' "$XI_TMP/before.json")" ]
}

LIVE_FIRST=$((0x100000)) LIVE_SAS=64 WINDOW_SAS=1000
section_reconfig() {
	local first=200000
	need reconfig 10000 $SA_ENTRIES
	scale_install reconfig -f $LIVE_FIRST -r 0 add $LIVE_SAS > /dev/null || die "SAs of live traffic were refused"
	gen_start 1 64 || die "the generator did not start"
	reconfig nothing
	reconfig add -f $first add $RECONFIG_SAS
	reconfig rekey -f $first rekey $RECONFIG_SAS
	reconfig delete -f $((first + RECONFIG_SAS)) del $RECONFIG_SAS
	scale_install reconfig -a -f $first add $RECONFIG_SAS > /dev/null || die "SAs of AH were refused"
	reconfig flush -a flush
	gen_stop
}

# What the plain side's two streams are protected by, and a policy with ports, so that flows must show theirs
flood_tunnels() {
	local name spi net
	while read -r name spi net; do
		echo "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi $spi reqid $((spi)) mode tunnel" \
			"aead rfc4106(gcm(aes)) 0x$(sha256sum <<< "scale $name" | head -c 40) 128"
		echo "xfrm policy add src 10.1.1.0/24 dst $net dir out priority 10" \
			"tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $((spi)) mode tunnel"
	done <<- 'TUNNELS'
		flood 0x02000001 10.200.0.0/16
		live 0x02000002 10.201.0.0/16
	TUNNELS
	echo "xfrm policy add src 10.1.1.0/24 dst 10.202.0.0/16 proto udp dport 7 dir out action block priority 5"
}

# flood_run KIND FLOOD BESIDE GATEWAY WAY LIVE ROUND
flood_run() {
	local fields
	fields=$(jq -nc --arg kind "$1" --arg beside "$3" --argjson round "$7" --argjson rate $LIVE_PPS \
		'{section: "floods", $kind, $beside, $round, $rate}')
	progress "floods, round $7: $1 ($3)"
	measure "$4" "$5" "$fields" ${2:+"flood=$2"} "live=$6" warm=$WARM_MS "time=$TIME_MS" || die "flood $1 failed"
}

# The same number of packets a second of the generator's CPU, to be forwarded: by a gateway's worker unchanged, and by
# the kernel
flood_round() {
	local kind=$1 flood=$2 way=$3 live=$4 round=$5 pps
	flood_run "$kind" "$flood" flood flood "$way" "$live" "$round"
	pps=$(jq '.flood.sent / .cpu.sender | floor' "$XI_TMP/run.json")
	case $way in
	in) flood_run "$kind" "esp:hot:$FLOOD_SAS:$pps" worker plain in "$live" "$round" ;;
	out) flood_run "$kind" "clear:$pps" worker plain out "$live" "$round" ;;
	esac
	flood_run "$kind" "foreign:$pps" kernel flood "$way" "$live" "$round"
}

# The same SAs and policies in both, for it is these that lead packets to the plain forwarder's worker
flood_gateways() {
	local gw
	XIPSEC_FORWARD_ONLY=1 need plain $FLOOD_SAS $SA_ENTRIES
	need flood $FLOOD_SAS $SA_ENTRIES
	for gw in flood plain; do
		scale_install $gw -f $LIVE_FIRST -r 0 add $LIVE_SAS > /dev/null &&
			scale_install $gw -f $((LIVE_FIRST + LIVE_SAS)) add $WINDOW_SAS > /dev/null &&
			flood_tunnels | gwctl $gw xipsec run ip -batch - &&
			net_in $gw ip route replace 10.200.0.0/14 via 192.0.2.2 || return 1
	done
}

section_floods() {
	local round n=$FLOOD_SAS live=esp:live:64:$LIVE_PPS
	flood_gateways || die "SAs and policies of the floods were refused"
	gen_start $n 64 || die "the generator did not start"
	flood_run none "" flood flood in "$live" 1
	flood_run none "" flood flood out clear-live:$LIVE_PPS 1
	for ((round = 1; round <= ROUNDS; round++)); do
		flood_round random-spi random-spi:uniform:$n in "$live" $round
		flood_round bad-icv bad-icv:uniform:$n in "$live" $round
		flood_round replays esp:window:$WINDOW_SAS in "$live" $round
		flood_round scan esp:scan:$n in "$live" $round
		flood_round tuples tuples out clear-live:$LIVE_PPS $round
	done
	gen_stop
}

# Section by section, so that what one finds is there whatever becomes of the next
mkdir -p "$OUT" || die "cannot write to $OUT"
start_ends || die "cannot make network namespaces"
status=0
for section in $SECTIONS; do
	case " $WANTED " in *" $section "*) ;; *) continue ;; esac
	RUNS=$OUT/$section.jsonl
	: > "$RUNS" || die "cannot write to $RUNS"
	"section_$section"
	gateways_end || die "a gateway did not end in good order"
	[ -z "$PROGRESS" ] || printf '\r%-70s\r' '' >&2
	tests/bench/scale.py --json "$DIR/bench-scale.json" --svg "$DIR/bench-scale.svg" "$RUNS"
	rc=$?
	[ $rc -le 1 ] || exit 3
	status=$((status | rc))
done
exit $status
