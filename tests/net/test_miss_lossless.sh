#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# Invariant 3: a miss costs time, never a packet. The first packet of each SA and flow misses; with fewer context slots
# than SAs in use packets miss for ever. None may be lost or reordered.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ping jq python3 bpftool

net_up || tap_skip_all "cannot make network namespaces"
N=32
for gw in gw1 gw2; do
	start_daemon $gw "$(gw_conf $gw '[cache]' 'sa-entries = 8' 'flow-entries = 64')" ||
		{ tap_not_ok "daemon of $gw starts"; tap_done; }
done
# N tunnels, one for each address pair 10.1.1.(100+i) <-> 10.1.2.(100+i)
many_lines() {
	local n=${1#gw} peer i dir
	peer=$((3 - n))
	for ((i = 0; i < N; i++)); do
		sa_lines 192.0.2.$n 192.0.2.$peer $((0x2000 + n * 256 + i)) "$(sa_key $((n * 256 + i)))" flag esn replay-window 64
		sa_lines 192.0.2.$peer 192.0.2.$n $((0x2000 + peer * 256 + i)) "$(sa_key $((peer * 256 + i)))" flag esn replay-window 64
		echo "xfrm policy add src 10.1.$n.$((100 + i)) dst 10.1.$peer.$((100 + i)) dir out" \
			"tmpl src 192.0.2.$n dst 192.0.2.$peer proto esp reqid $((0x2000 + n * 256 + i)) mode tunnel"
		for dir in in fwd; do
			echo "xfrm policy add src 10.1.$peer.$((100 + i)) dst 10.1.$n.$((100 + i)) dir $dir" \
				"tmpl src 192.0.2.$peer dst 192.0.2.$n proto esp reqid $((0x2000 + peer * 256 + i)) mode tunnel"
		done
	done
}
for gw in gw1 gw2; do
	many_lines $gw | load_lines $gw
	for ((i = 0; i < N; i++)); do
		echo "addr add 10.1.${gw#gw}.$((100 + i))/32 dev lan0"
	done | net_in "h${gw#gw}" ip -batch -
done
# next hops known beforehand, so that only SA and flow misses are left
net_in gw1 ping -q -c 1 -W 1 192.0.2.2 > /dev/null
for n in 1 2; do
	net_in gw$n ping -q -c 1 -W 1 10.1.$n.2 > /dev/null
done

cat > "$XI_TMP/udp.py" <<'PY'
# N flows at once, each packet numbered; says what was lost or came out of order
import select, socket, struct, subprocess, sys, threading
role, n, per = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if role == "rx":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)       # SO_RCVBUFFORCE
    s.bind(("0.0.0.0", 9000))
    print("ready", flush=True)
    last, got, disorder = [-1] * n, 0, 0
    while got < n * per and select.select([s], [], [], 3)[0]:
        i, k = struct.unpack("!II", s.recv(64))
        disorder += k <= last[i]
        last[i] = k
        got += 1
    print("lost", n * per - got, "disorder", disorder, flush=True)
else:
    socks = []
    for i in range(n):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("10.1.1.%d" % (100 + i), 0))
        s.connect(("10.1.2.%d" % (100 + i), 9000))
        socks.append(s)
    for k in range(per):
        for i in range(n):
            socks[i].send(struct.pack("!II", i, k))
        select.select([], [], [], 0.002)
PY
flows() {
	net_bg rx h2 python3 -S "$XI_TMP/udp.py" rx $N "$1"
	wait_for 5 grep -q ready "$XI_TMP/rx.log" || return 1
	net_in h1 python3 -S "$XI_TMP/udp.py" tx $N "$1" || return 1
	wait_for 10 grep -q lost "$XI_TMP/rx.log"
	cat "$XI_TMP/rx.log"
	grep -qx 'lost 0 disorder 0' "$XI_TMP/rx.log"
}
stat_of() {
	gwctl "$1" xipsec stats -j | jq -r "$2"
}
tap_check "first packets of $N SAs and flows: none lost, none out of order" flows 1
tap_check "$N SAs over 8 context slots: none lost, none out of order" flows 200
tap_check "there were misses of SAs" test "$(stat_of gw2 .reasons.sa_miss)" -ge $N
tap_check "there were misses of flows" test "$(stat_of gw1 .reasons.flow_miss)" -ge $N
tap_check "the SLOW method carried packets in" test "$(stat_of gw2 .reasons.slow_in)" -ge 1
tap_check "the SLOW method carried packets out" test "$(stat_of gw1 .reasons.slow_out)" -ge 1
tap_check "the FAST method carried packets" test "$(stat_of gw2 .reasons.fast_in)" -ge 1
tap_check "the cache holds no more than it may" test "$(stat_of gw2 .cache.capacity)" = 8
# 8 that are FAST and 256 others; and LRU maps evict in batches
tap_check "sa_cache has room for twice what may be in it" \
	test "$(bpftool -j map show pinned "$XI_BPFFS/gw2/sa_cache" | jq .max_entries)" -ge $((2 * (8 + 256)))
# what can be seen of it
tap_check "each answer to a miss was timed" test "$(stat_of gw2 '.misses.latency.sa | .count >= 8 and .p50_ns > 0 and
	.p50_ns <= .p99_ns and .p99_ns <= .p999_ns and .p999_ns <= .max_ns and ([.histogram[].count] | add) == .count')" = true
tap_check "no SA is lost from sight: fast ones have the slots" test "$(gwctl gw2 xipsec cache -j | jq '.cache.entries as $used |
	.cached_sas | ([.[] | select(.method == "fast" and .slot != null)] | length) == $used and $used <= 8 and
	all(.[]; .why != null and .misses > 0 and (.cached or .method == "slow" or .slot != null))')" = true
spi=$(gwctl gw2 xipsec show -j | jq -r '[.sas[] | select(.dir == "in")][0].spi')
tap_check "one SA can be asked for" test "$(gwctl gw2 xipsec cache -j "$spi" | jq -r '.cached_sas[].spi')" = "$spi"
tap_is "gw1 dropped nothing" "$(stat_of gw1 .drops)" 0
tap_is "gw2 dropped nothing" "$(stat_of gw2 .drops)" 0
tap_done
