# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# Gateways that know many SAs, in the namespaces of topology.sh, and the generator between them. Source that first.
#
#   scale_gateway NAME SAS ENTRIES [CONF]   an xipsecd (burst transmit, ipsec-mb where it can) with SAs 0 to SAS - 1 in, a
#                             table of ENTRIES, and one policy each way that takes any of them
#                             XIPSEC_FORWARD_ONLY=1 makes a plain forwarder of it: what an SA or policy is for, it sends
#                             on unchanged
#   scale_install NAME ARGUMENT...   tests/bench/install.c in that gateway, with SAs of scale_sas.h; its JSON
#   gateways_end              all of them are gone, with what they pinned
#   gen_start SAS SIZE        the generator; gen_stop: its end
#   gen_run NAME WAY [WORD...]   one run through NAME; its JSON in $XI_TMP/run.json
#   measure NAME WAY FIELDS [WORD...]   the same with counters before and after: a line of $RUNS, with FIELDS,
#                             a JSON object, in it
#
# CONTROL[NAME]: the control thread, THREADS[NAME] the worker, as gen_run wants them.

SCALE_GEN=$XI_BUILD/tests/bench/scale_gen
INSTALL=$XI_BUILD/tests/bench/install
SCALE_MAX=1048576
WARM_MS=250
TIME_MS=${TIME_MS:-300}
RUN_TIMEOUT=60
declare -A CONTROL=()

# scale_conf NAME ENTRIES [CONF]; SCALE_MISSES: messages a second, where the default is not wanted
scale_conf() {
	local conf
	conf=$(gw_conf "$1" "[cache]" "sa-entries = $2")
	sed -i -e "/^\[daemon\]/a max-sas = $SCALE_MAX" -e "/^\[port /a tx = burst" "$conf"
	[ -z "${3:-}" ] || sed -i "/^\[daemon\]/a $3" "$conf"
	[ -z "${SCALE_MISSES:-}" ] || sed -i "/^\[cache\]/a misses = $SCALE_MISSES" "$conf"
	echo "$conf"
}

scale_daemon() {
	gateway "$1" lan0 && XI_START_TIMEOUT=60 start_daemon "$1" "$(scale_conf "$1" "$2" "${3:-}")" || return 1
	pin_process "$1" "$(daemon_pid "$1")"
	[ -n "${THREADS[$1]:-}" ] || { echo "gateway $1 has no worker"; return 1; }
	CONTROL[$1]=$(daemon_pid "$1")
	THREADS[$1]+=${GW_SOFTIRQ:+,$GW_SOFTIRQ}
}

# Hosts behind the peer are 10.64.0.0/10, one an SA; the template takes every SA.
scale_policies() {
	local dir
	for dir in in fwd; do
		echo "xfrm policy add src 10.64.0.0/10 dst 10.1.1.0/24 dir $dir tmpl proto esp mode tunnel"
	done
}

scale_install() {
	gwctl "$1" "$INSTALL" -i "${@:2}"
}

scale_gateway() {
	scale_daemon "$1" "$3" "${4:-}" && scale_policies | gwctl "$1" xipsec run ip -batch - || return 1
	scale_install "$1" -r 0 add "$2" | jq -c --arg gateway "$1" '{section: "install", $gateway} + .' >> "$RUNS"
}

# Each has hundreds of megabytes, which pins and attached programs keep.
gateways_end() {
	local gw
	for gw in "${!CONTROL[@]}"; do
		stop_daemon "$gw" && rm -rf "${XI_BPFFS:?}/$gw" && ip netns del "$XI_NS-$gw" || return 1
		unset 'CONTROL[$gw]' 'THREADS[$gw]'
	done
}

gen_start() {
	coproc GENERATOR { exec nice -n "$NICE" taskset -c "$GEN_CPU" "$SCALE_GEN" "/run/netns/$XI_NS-left" \
		"/run/netns/$XI_NS-right" "$1" "$2"; }
	# shellcheck disable=SC2153
	GEN_PID=$GENERATOR_PID
	xi_pids["bg generator"]=$GEN_PID
	gen_answer && [ "$(jq .ready "$XI_TMP/run.json")" = true ]
}

gen_stop() {
	local pid=$GEN_PID
	eval "exec ${GENERATOR[1]}>&-"
	wait "$pid"
	unset 'xi_pids["bg generator"]'
}

gen_answer() {
	local line
	read -r -t $RUN_TIMEOUT -u "${GENERATOR[0]}" line || { echo "the generator does not answer" >&2; return 1; }
	echo "$line" > "$XI_TMP/run.json"
	! jq -e .error "$XI_TMP/run.json" > /dev/null 2>&1 || { echo "the generator: $line" >&2; return 1; }
}

gen_run() {
	local gw=$1 way=$2
	shift 2
	echo "run way=$way dev=$gw ${THREADS[$gw]:+worker=${THREADS[$gw]}} ${CONTROL[$gw]:+control=${CONTROL[$gw]}} $*" \
		>&"${GENERATOR[1]}"
	gen_answer
}

scale_stats() {
	if [ -n "${CONTROL[$1]:-}" ]; then gwctl "$1" xipsec stats -j; else echo null; fi
}

measure() {
	local gw=$1 way=$2 fields=$3
	shift 3
	scale_stats "$gw" > "$XI_TMP/before.json" && gen_run "$gw" "$way" "$@" && scale_stats "$gw" > "$XI_TMP/after.json" || return 1
	jq -c --argjson fields "$fields" --arg gateway "$gw" --slurpfile before "$XI_TMP/before.json" \
		--slurpfile after "$XI_TMP/after.json" '{$gateway} + $fields + . + {stats: (if $after[0] then
			{reasons: ($after[0].reasons | with_entries(.value -= ($before[0].reasons[.key] // 0)) |
			with_entries(select(.value != 0))), after: ($after[0] | del(.reasons))} else null end)}' \
		"$XI_TMP/run.json" >> "$RUNS"
}
