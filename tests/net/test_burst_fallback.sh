#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2086,SC2154
# timeout: 400
# Burst transmit gives way to AF_XDP where it must, and comes back: a receiver that takes no XDP frames, from the start
# or from now on; a port that goes down; calls that fail, are slow, or are interrupted. What is lost is bounded and
# counted; where nothing needs to be lost, nothing is.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq strace bpftool

# the longest that the daemon may leave burst alone before it tries again, with room for a slow machine
BACK=${FLOOD_BACK:-60}
FLOOD_TX=${XI_FALLBACK_TX:-auto}

restart() {
	stop_daemon gw1 && start_daemon gw1 "$XI_TMP/gw1.conf"
}

path_is() {
	[ "$(port_tx wan0 path)" = "$1" ]
}

paused_is() {
	[ "$(port_tx wan0 paused)" = "$1" ]
}

count_is() {
	[ "$(port_tx wan0 "$1")" -ge "$2" ]
}

# lossless NAME [COUNT]: a flood of which nothing is lost
lossless() {
	tap_check "$1: the flood runs" flood encrypt 4 4 $FLOOD_LOSSLESS --count "${2:-40000}" --seconds 20
	tap_check "$1: nothing is lost, doubled or out of order" flood_is "$FLOOD_EXACT and .lost == 0 and .checked >= 2000"
}

# load_on NAME [OPTION...]: a flood without end, of which nothing must be lost
load_on() {
	tap_check "$1: the load is on" flood_bg load encrypt 4 4 --seconds 300 $FLOOD_LOSSLESS "${@:2}"
	tap_check "$1: by burst" wait_for 25 burst_is_on wan0
}

# load_off NAME FILTER
load_off() {
	tap_check "$1: the load ends" flood_end load
	tap_check "$1: nothing was wrong, doubled or out of order${2:+; $2}" flood_is "$FLOOD_EXACT${2:+ and $2}" load
}

bursts_again() {
	local n
	n=$(port_tx wan0 burst_packets)
	wait_for "$BACK" count_is burst_packets $((n + 1000))
}

routes_again() {
	net_in gw1 ip route replace 10.1.2.0/24 via 192.0.2.2
	net_in gw1 ip neigh replace 192.0.2.2 lladdr "$(flood_mac right r0)" dev wan0 nud permanent
}

# inject NAME WHAT: strace changes the worker's bpf() calls; its log is $XI_TMP/strace.log
inject() {
	rm -f "$XI_TMP/strace.log"
	strace -q -o "$XI_TMP/strace.log" -e trace=bpf -e "inject=bpf:$2" -p "$(worker_tid 0)" 2> "$XI_TMP/strace.err" &
	xi_pids["bg strace"]=$!
	wait_for 20 grep -qE 'INJECTED|DELAYED' "$XI_TMP/strace.log"
}

inject_end() {
	local pid=${xi_pids["bg strace"]}
	kill -INT "$pid" 2> /dev/null
	wait_for 10 process_gone "$pid"
	wait "$pid" 2> /dev/null
	unset 'xi_pids["bg strace"]'
	return 0
}

injected() {
	[ "$(grep -cE 'INJECTED|DELAYED' "$XI_TMP/strace.log")" -ge "$1" ]
}

# lost_is_counted BURST_LOST-BEFORE: what the receiver misses is what the daemon says is lost
lost_is_counted() {
	local lost counted
	lost=$(jq .lost "$XI_TMP/load.json")
	counted=$(($(reason burst_lost) - $1))
	echo "missing $lost, counted $counted"
	[ "$lost" -le "$counted" ]
}

flood_net || tap_skip_all "cannot make network namespaces"
[ -x "$FLOOD" ] || tap_skip_all "$FLOOD is not built; make tests builds it"

# --- the start-up probe
net_in right ethtool -K r0 gro off
tap_check "receiver without GRO and XDP: the daemon starts" start_daemon gw1 "$(flood_conf)" || tap_done
tap_check "SAs" flood_sas 4 4
tap_check "first packets" flood_warm 4 4
lossless "receiver without GRO and XDP"
tap_is "receiver without GRO and XDP: the path is AF_XDP" "$(port_tx wan0 path)" xsk
tap_check "receiver without GRO and XDP: and it is said why" [ -n "$(port_tx wan0 why)" ]
tap_comment "why: $(port_tx wan0 why)"
net_in right ethtool -K r0 gro on
tap_check "receiver with GRO: the daemon starts again" restart
tap_check "receiver with GRO: the path is burst" wait_for 25 burst_is_on wan0
burst_mark wan0
lossless "receiver with GRO"
tap_check "receiver with GRO: burst sends" burst_grew wan0 1000

# --- the receiver changes
load_on "GRO goes away" --patience 100
lost=$(reason burst_lost) pauses=$(port_tx wan0 pauses)
net_in right ethtool -K r0 gro off
tap_check "GRO goes away: traffic flows again" flood_moves load 5000 30
tap_check "GRO goes away: burst is set aside" count_is pauses $((pauses + 1))
tap_check "GRO goes away: the loss is counted" [ "$(reason burst_lost)" -gt "$lost" ]
net_in right ethtool -K r0 gro on
tap_check "GRO is back: and so is burst" bursts_again
load_off "GRO goes away" '.lost < 20000'
tap_check "GRO goes away: no packet is missing that is not counted" lost_is_counted "$lost"

for end in "right r0" "gw1 wan0"; do
	load_on "$end goes down" --patience 100
	{
		net_in ${end% *} ip link set ${end#* } down
		wait_for 1 false
		net_in ${end% *} ip link set ${end#* } up
	}
	routes_again
	tap_check "$end is up again: traffic flows" flood_moves load 5000 30
	tap_check "$end is up again: by burst" bursts_again
	load_off "$end goes down" ''
done

# --- calls that fail
load_on "ENOSPC"
lost=$(reason burst_lost) pauses=$(reason burst_pause)
tap_check "ENOSPC: calls fail" inject ENOSPC error=ENOSPC:when=5..400
tap_check "ENOSPC: burst is set aside" wait_for 10 paused_is true
tap_check "ENOSPC: AF_XDP takes over" flood_moves load 5000 20
tap_check "ENOSPC: the pause is counted" eval '[ "$(reason burst_pause)" -gt '"$pauses"' ]'
inject_end
tap_check "ENOSPC: burst comes back" bursts_again
tap_check "ENOSPC: and the port says so" wait_for 10 paused_is false
load_off "ENOSPC" ''
tap_check "ENOSPC: no packet is missing that is not counted" lost_is_counted "$lost"

load_on "slow calls"
pauses=$(reason burst_pause) slow=$(reason burst_slow)
tap_check "slow calls: they take 3 ms more" inject slow delay_exit=3000
tap_check "slow calls: counted" wait_for 10 eval '[ "$(reason burst_slow)" -gt '"$slow"' ]'
tap_check "slow calls: burst is set aside" wait_for 10 eval '[ "$(reason burst_pause)" -gt '"$pauses"' ]'
tap_check "slow calls: traffic flows" flood_moves load 5000 20
inject_end
tap_check "slow calls: burst comes back" bursts_again
load_off "slow calls" '.lost == 0'

load_on "EINTR"
tap_check "EINTR: every third call is interrupted" inject EINTR error=EINTR:when=3+3
tap_check "EINTR: traffic flows" flood_moves load 5000 30
tap_check "EINTR: it happened many times" wait_for 30 injected 20
inject_end
tap_check "EINTR: by burst" bursts_again
load_off "EINTR" '.lost == 0'

# A stopped thread leaves its system call: the kernel's own EINTR, in the middle of a call.
stops() {
	local pid i
	pid=$(daemon_pid gw1)
	for ((i = 0; i < 100; i++)); do
		kill -STOP "$pid"
		kill -CONT "$pid"
		read -r -t 0.02 -u "$tap_pause" || :
	done
	return 0
}
# stopped NAME FILTER [OPTION...]
stopped() {
	load_on "$1" "${@:3}"
	tap_check "$1: 100 times" stops
	tap_check "$1: traffic flows" flood_moves load 5000 30
	load_off "$1" "$2"
}
stopped "daemon stopped and continued" '.lost == 0'
stopped "daemon stopped and continued in long calls" '' --window 1024 --patience 50

# --- others who change programs: the dispatcher's lock is the system's
net_add other
net_in other ip link add x0 type veth peer name x1
net_in other ip link set x0 up
bpftool prog loadall "$XI_BUILD/tests/net/flood.bpf.o" "$XI_BPFFS/others" ||
	{ tap_not_ok "another process's program"; tap_done; }
load_on "others attach programs"
net_bg others other sh -c '
	n=0
	while [ $n -lt 400 ] && ip link set dev x0 xdpdrv pinned "$1" && ip link set dev x0 xdpdrv off; do
		n=$((n + 1))
		echo "$n"
	done' sh "$XI_BPFFS/others/flood_spoil"
tap_check "others attach programs: and detach them, many times" wait_for 30 \
	eval '[ "$(tail -n 1 "$XI_TMP/others.log")" -ge 50 ]'
tap_check "others attach programs: traffic flows" flood_moves load 5000 30
kill "${xi_pids["bg others"]}"
wait "${xi_pids["bg others"]}" 2> /dev/null
tap_check "others attach programs: burst goes on, or comes back" bursts_again
load_off "others attach programs" '.lost == 0'
tap_comment "$(gwctl gw1 xipsec stats -j | jq -c '.reasons | with_entries(select(.key | test("burst")))')"
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
