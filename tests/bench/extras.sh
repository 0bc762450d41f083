# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# What rates do not show, measured on the gateways of run.sh once its rounds are over. Each adds one
# line to extras.jsonl: {"extra": NAME, "skipped": null or why, "result": ...}; engines leaves engines.json.

IDLE_SECONDS=5
LATENCY_PACKETS=${LATENCY_PACKETS:-3000}
LATENCY_INTERVAL_US=1000
FOREIGN_RUNS=30
FOREIGN_REPEAT=50000
ENGINES_ROUNDS=${ENGINES_ROUNDS:-100}
WORKERS_CPUS=4
WORKERS_SIZE=64
WORKERS_ROUNDS=5

# find_gateway KIND TX: the first of GATEWAYS that is one, without a conf of its own, and runs
find_gateway() {
	local gw
	while read -r gw; do
		[ -n "${THREADS[$gw]:-}" ] && echo "$gw" && return
	done < <(awk -v kind="$1" -v tx="$2" '$2 == kind && $4 == tx && $6 == "-" { print $1 }' <<< "$GATEWAYS")
	return 1
}

add_extra() {
	jq -nc --arg extra "$1" --argjson result "$2" --arg skipped "${3:-}" \
		'{$extra, $result, skipped: (if $skipped == "" then null else $skipped end)}' >> "$OUT/extras.jsonl"
}

# Daemons that have carried traffic and carry none now
extra_idle() {
	local gw result daemons=()
	for gw in "${!THREADS[@]}"; do
		[ -z "$(daemon_pid "$gw")" ] || daemons+=("$gw=$(daemon_pid "$gw")")
	done
	[ ${#daemons[@]} -gt 0 ] || { add_extra idle null "no xipsecd runs"; return; }
	result=$(tests/bench/idle.py $IDLE_SECONDS "${daemons[@]}") && add_extra idle "$result"
}

# The kernel's forwarding, the waking of a thread, and gateways that encrypt: the first of each tx, and
# the one that spins, last, for it looks on while the kernel's turn is next.
extra_latency() {
	local tx gw name paths=("kernel:l-kernel:r-kernel" "wake:$GW_CPU") result
	for tx in xsk burst spin; do
		case $tx in
		spin) [ -n "${THREADS[mb-spin]:-}" ] || continue; gw=mb-spin name="burst, $(gateway_field mb-spin 6)" ;;
		*) gw=$(find_gateway xipsecd $tx) || continue; name=$tx ;;
		esac
		paths+=("$name:l-$gw:r-$gw")
		set_sink "$gw" "r-$gw" skb || return 1
	done
	[ ${#paths[@]} -gt 2 ] || { add_extra latency null "no xipsecd runs"; return; }
	set_sink kernel r-kernel skb &&
		result=$(nice -n "$NICE" taskset -c "$GEN_CPU" "$XI_BUILD/tests/bench/latency" "/run/netns/$XI_NS-left" \
			"/run/netns/$XI_NS-right" "$OUT/left-1-${SIZES%% *}.pcap" $LATENCY_PACKETS $LATENCY_INTERVAL_US \
			"${paths[@]}") && add_extra latency "$result"
}

extra_foreign() {
	local gw result
	gw=$(find_gateway xipsecd xsk) || gw=$(find_gateway xipsecd burst) ||
		{ add_extra foreign null "no xipsecd runs"; return; }
	result=$(net_in "$gw" taskset -c "$GEN_CPU" tests/bench/foreign.py $FOREIGN_RUNS $FOREIGN_REPEAT wan0=cipher lan0=plain) &&
		add_extra foreign "$result"
}

# start_workers N: the gateway workers-N, each worker with a queue and a core of its own
start_workers() {
	local gw=workers-$1 conf task n=0
	XI_QUEUES=$1 gateway "$gw" lan0 || return 1
	conf=$(write_conf "$gw" auto burst 1)
	sed -i "/^\[daemon\]/a workers = $1" "$conf"
	start_daemon "$gw" "$conf" || return 1
	for task in "/proc/$(daemon_pid "$gw")/task"/*; do
		case $(cat "$task/comm") in xipsec-[0-9]*) ;; *) continue ;; esac
		taskset -pc "${CPU_LIST[2 + n++]}" "${task##*/}" > /dev/null
	done
	[ $n = "$1" ] || { echo "gateway $gw has $n workers, not $1" >&2; return 1; }
	tests/bench/tunnels.py --count 1 | gwctl "$gw" xipsec run ip -batch -
}

# measure_workers N: Mpps that workers-N encrypts. A veth's queue follows the sender's CPU: two generators.
measure_workers() {
	net_in right "$GEN" sink "r-workers-$1" "$SECONDS_EACH" xdp "$XI_TMP/workers.pcap" "" - \
		nsenter --net="/run/netns/$XI_NS-left" -- bash -c '
			for cpu in $1 $2; do
				taskset -c $cpu "${@:3}" > /dev/null &
			done
			trap "kill $(jobs -p | tr "\n" " ")" TERM
			wait; wait' bash "${CPU_LIST[0]}" "${CPU_LIST[1]}" "$GEN" send "l-workers-$1" \
		"$OUT/left-1-$WORKERS_SIZE.pcap" 60 > "$XI_TMP/sink.json" && jq .mpps "$XI_TMP/sink.json"
}

extra_workers() {
	local round one two result=''
	if [ "$CPUS" -lt $WORKERS_CPUS ]; then
		add_extra workers null "needs $WORKERS_CPUS CPUs, here is $CPUS"
		return
	fi
	make_frames 1 $WORKERS_SIZE && start_workers 1 && start_workers 2 || return 1
	for ((round = 0; round < WORKERS_ROUNDS; round++)); do
		one=$(measure_workers 1) && two=$(measure_workers 2) || return 1
		result+="[$one, $two],"
	done
	add_extra workers "[${result%,}]"
}

# Crypto alone, each algorithm and engine, on the gateways' CPU: a table, no goal
extra_engines() {
	taskset -c "$GW_CPU" "$XI_BUILD/tests/bench/engines" -j "$ENGINES_ROUNDS" > "$OUT/engines.json"
}

: > "$OUT/extras.jsonl"
for extra in idle latency foreign workers engines; do
	case " $EXTRAS " in *" $extra "*) ;; *) continue ;; esac
	[ -z "$PROGRESS" ] || printf '\r%-50s' "$extra" >&2
	"extra_$extra" || die "the measurement of $extra failed"
done
[ -z "$PROGRESS" ] || printf '\r%-50s\r' '' >&2
