#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# Invariant 8: attackers' packets cannot evict live SAs, fill the event ring, or take a core.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool jq ping python3 bpftool
. tests/lib/netns.sh
. tests/lib/sas.sh

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw "$(gw_conf $gw '[cache]' 'sa-entries = 4')" || { tap_not_ok "daemon of $gw starts"; tap_done; }
	tunnel_lines $gw 4 4 | load_lines $gw
done
# SAs that exist but are idle: an attacker may know their SPIs
for ((i = 0; i < 40; i++)); do
	sa_lines 192.0.2.2 192.0.2.1 $((0x5000 + i)) "$(sa_key $((500 + i)))" replay-window 32
done | load_lines gw1
net_in h1 ping -q -c 20 -i 0.01 -W 1 10.1.2.2 > /dev/null

reason() {
	gwctl gw1 xipsec stats -j | jq -r ".reasons.$1 // 0"
}
method() {
	bpftool -j map dump pinned "$XI_BPFFS/gw1/sa_cache" |
		jq -r ".[] | select(.formatted.key.spi == $((SA_BASE + 2))) | .formatted.value.method"
}
cpu_ticks() {
	local stat
	stat=$(sed 's/.*) //' "/proc/$(daemon_pid gw1)/stat")
	# shellcheck disable=SC2086
	set -- $stat
	echo $((${12} + ${13}))
}
cat > "$XI_TMP/flood.py" <<'PY'
# ESP from the wire: argv: count, "random" or the first of 40 known SPIs
import os, select, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
s.bind(("192.0.2.254", 0))
body = os.urandom(80)
for i in range(int(sys.argv[1])):
    if sys.argv[2] == "random":
        spi = struct.unpack("!I", os.urandom(4))[0] | 0x10000
    else:
        spi = int(sys.argv[2], 0) + i % 40
    s.sendto(struct.pack("!II", spi, i + 1) + body, ("192.0.2.1", 0))
    if i % 32 == 0:     # on a busy machine the rings would fill, and live packets find no room either
        select.select([], [], [], 0.001)
PY
flood() {
	net_in wan python3 -S "$XI_TMP/flood.py" "$@"
}

tap_is "the live SA is in the cache" "$(method)" XI_METHOD_FAST
misses=$(reason sa_miss) sent=$(reason miss_sent)
tap_check "20,000 packets with random SPIs" flood 20000 random
tap_is "each is counted" "$(reason unknown_spi)" 20000
tap_is "none is a miss, none raises a message" "$(($(reason sa_miss) - misses)) $(($(reason miss_sent) - sent))" "0 0"
tap_is "the live SA is still in the cache" "$(method)" XI_METHOD_FAST

net_bg live h1 ping -q -i 0.01 -c 400 -W 1 10.1.2.2
wait_for 2 test -s "$XI_TMP/live.log"
slow=$(reason slow_in)
sent=$(reason miss_sent) evicted=$(reason sa_evicted)
tap_check "20,000 forged packets with 40 known SPIs, while the live SA is in use" flood 20000 0x5000
tap_is "the live SA is still in the cache" "$(method)" XI_METHOD_FAST
refused() {
	[ $(($(reason icv_bad) + $(reason rx_full))) -ge 20000 ]
}
tap_check "every forged packet is refused and counted" wait_for 5 refused
tap_is "none of them took a slot away from anybody" "$(($(reason sa_evicted) - evicted))" 0
tap_check "messages stay few: at most one an SA in five milliseconds" \
	test "$(($(reason miss_sent) - sent))" -lt 10000
tap_is "no message was lost" "$(reason miss_lost)" 0
wait_for 10 grep -q 'packet loss' "$XI_TMP/live.log"
tap_check "the live traffic lost nothing" grep ' 0% packet loss' "$XI_TMP/live.log"
wait_for 5 net_in h1 ping -q -c 1 -W 1 10.1.2.2

idle() {
	local before
	before=$(cpu_ticks)
	wait_for 1 false
	[ $(($(cpu_ticks) - before)) -le 5 ]
}
tap_check "afterwards the daemon is idle again" idle
tap_done
