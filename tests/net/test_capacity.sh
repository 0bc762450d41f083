#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A hundred thousand SAs through the XFRM socket: what an SA costs does not grow with their number, be it added, listed,
# deleted or flushed, and nothing of them is left behind. Costs are CPU time of the daemon's control thread, the least of
# three, so that what else runs on the machine does not count.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
need_tools jq bpftool

n=10000
all=100000
net_up gw1 wan || tap_skip_all "cannot make network namespaces"
conf=$(gw_conf gw1)
sed -i "s/^\[daemon\]$/&\nmax-sas = $((all + n))/" "$conf"
tap_check "a daemon with room for $((all + n)) SAs starts" start_daemon gw1 "$conf" || tap_done

sas() {
	net_in gw1 "$XI_BUILD/tests/bench/install" "$@" > "$XI_TMP/install.json"
}
# done_all OP...: every request of it succeeds
done_all() {
	sas "$@" && jq -e '.refused == 0' "$XI_TMP/install.json"
}
cpu_ns() {
	local pid
	pid=$(daemon_pid gw1)
	cut -d ' ' -f 1 "/proc/$pid/task/$pid/schedstat"
}
# cost NAME OP...: its CPU time goes to $XI_TMP/NAME, if that is less than before
cost() {
	local file=$XI_TMP/$1 start ns
	start=$(cpu_ns)
	done_all "${@:2}" > /dev/null || { cat "$XI_TMP/install.json"; return 1; }
	ns=$(($(cpu_ns) - start))
	[ -e "$file" ] && [ "$(cat "$file")" -le "$ns" ] || echo "$ns" > "$file"
}
# not_above NAME FACTOR OTHER: the cost of NAME is at most FACTOR times that of OTHER
not_above() {
	echo "$1: $(cat "$XI_TMP/$1") ns, $3: $(cat "$XI_TMP/$3") ns"
	[ "$(cat "$XI_TMP/$1")" -le $(($2 * $(cat "$XI_TMP/$3"))) ]
}
# thrice WHEN FIRST: $n SAs from FIRST on come and go three times
thrice() {
	local _
	for _ in 1 2 3; do
		cost "add-$1" -f "$2" add $n && cost "del-$1" -f "$2" del $n || return 1
	done
}
state_count() {
	gwip gw1 ip xfrm state count | grep -o 'count [0-9]*' | grep -o '[0-9]*'
}
elements() {
	local map sum=0
	for map in sad sad_keys sad_lookup; do
		sum=$((sum + $(bpftool -j map dump pinned "$XI_BPFFS/gw1/$map" | jq length)))
	done
	echo $sum
}

tap_check "$n SAs come and go" thrice few 0
tap_check "$n and a few, to list" cost none add $n
tap_check "they are listed" cost list-few dump
tap_check "as many as there may be come: $all beside them" done_all -f $n add $all
tap_check "one more is refused" sh -c "! nsenter --net=/run/netns/$XI_NS-gw1 $XI_BUILD/tests/bench/install -f 500000 add 1"
tap_is "they are all there" "$(state_count)" $((all + n))
tap_check "each is found" done_all get $((all + n))
tap_check "ip finds one of them" gwip gw1 ip xfrm state get src 192.0.2.1 dst 198.18.0.7 proto esp \
	spi $((0x1000 + 50007))
tap_check "they are listed" cost list-many dump
tap_is "each once" "$(jq .n "$XI_TMP/install.json")" $((all + n))
tap_check "some are deleted" done_all -f $all del $n
tap_is "the others stay" "$(state_count)" $all
tap_check "$n more of them come and go" thrice many $all
tap_check "to add one costs the same at $all as at none" not_above add-many 2 add-few
tap_check "to delete one costs the same" not_above del-many 2 del-few
echo $(($(cat "$XI_TMP/list-few") * (all + n) / n)) > "$XI_TMP/list-few-each"
tap_check "to list one costs the same" not_above list-many 2 list-few-each
tap_check "they are flushed" cost flush-many flush
tap_is "none is left" "$(state_count)" 0
tap_is "no map has anything of them" "$(elements)" 0
tap_check "$n come again" done_all add $n
tap_check "and are flushed" cost flush-few flush
echo $(($(cat "$XI_TMP/flush-few") * all / n)) > "$XI_TMP/flush-few-each"
tap_check "to flush one costs the same" not_above flush-many 2 flush-few-each
tap_done
