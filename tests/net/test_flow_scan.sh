#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A verdict in flow_cache covers as much as policy allows: scans of ports and addresses through one policy leave a handful of
# elements, raise a handful of messages, and the live flow beside them keeps hitting.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool jq ping python3 bpftool
. tests/lib/netns.sh
. tests/lib/sas.sh

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
	tunnel_lines $gw 4 4 | load_lines $gw
done

reason() {
	gwctl gw1 xipsec stats -j | jq -r ".reasons.$1 // 0"
}
flows() {
	gwctl gw1 xipsec cache -j | jq -c ".cached_flows | map(select(.dir == \"$1\")) | $2"
}
masks() {
	bpftool -j map dump pinned "$XI_BPFFS/gw1/flow_masks" | jq "[.[] | .formatted | select(.key == $1) | .value.n][0]"
}
cat > "$XI_TMP/scan.py" <<'PY'
# UDP: argv: ports ADDRESS N | addresses PREFIX N | mixed PREFIX N. SCAN_SOURCE: PREFIX of made-up sources
import os, random, select, socket, struct, sys
what, to, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source = os.environ.get("SCAN_SOURCE")
random.seed(1)
for i in range(n):
    dst, proto, sport, dport = to, 17, 40000, 33434
    if what == "ports":
        dport = 1024 + i
    elif what == "addresses":
        dst = to + str(2 + i % 250)
    else:
        dst = to + str(random.randrange(2, 250))
        proto, sport, dport = random.choice((6, 17, 132)), random.randrange(65536), random.randrange(1024, 65536)
    src = source + str(random.randrange(2, 250)) if source else "0.0.0.0"
    body = struct.pack("!HHHH", sport, dport, 20, 0) + bytes(24)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    s.sendto(head + body, (dst, 0))
    if i % 32 == 0:     # on a busy machine the rings would fill
        select.select([], [], [], 0.001)
PY
scan() {
	local from=$1
	shift
	net_in "$from" python3 -S "$XI_TMP/scan.py" "$@"
}
# grown KEY BEFORE N: the counter grew by N or more
grown() {
	[ $(($(reason "$1") - $2)) -ge "$3" ]
}

tap_check "the tunnel carries traffic" net_in h1 ping -q -c 5 -i 0.01 -W 1 10.1.2.2
tap_is "one element serves it" "$(flows out '[.[] | [.src, .dst, .proto, .sport, .dport, .verdict]]')" \
	'[["10.1.1.0/24","10.1.2.0/24",0,null,null,"protect"]]'
net_bg live h1 ping -q -i 0.01 -c 300 -W 1 10.1.2.2
wait_for 2 test -s "$XI_TMP/live.log"
hits=$(reason flow_hit) misses=$(reason flow_miss) sent=$(reason miss_sent)
tap_check "10,000 ports" scan h1 ports 10.1.2.2 10000
tap_check "250 addresses, four times" scan h1 addresses 10.1.2. 1000
tap_check "10,000 of any address, port and protocol" scan h1 mixed 10.1.2. 10000
tap_check "every packet hits" wait_for 5 grown flow_hit "$hits" 21000
tap_is "none misses, none raises a message" "$(($(reason flow_miss) - misses)) $(($(reason miss_sent) - sent))" "0 0"
tap_is "one element serves them all" "$(flows out length)" 1
tap_is "looked for under two masks, the second of them for whole flows" "$(masks 2)" 2

# cleartext from the wire, for hosts behind this gateway: discarded, and by one verdict
misses=$(reason flow_miss) drops=$(reason clear_in)
tap_check "a route for those who do not care" net_in wan ip route add 10.1.1.0/24 via 192.0.2.1
SCAN_SOURCE=10.1.2. tap_check "5,000 forged packets in clear" scan wan mixed 10.1.1. 5000
tap_check "all but the first few are dropped by a verdict" wait_for 5 grown clear_in "$drops" 4900
tap_check "few missed" test $(($(reason flow_miss) - misses)) -le 100
tap_is "one element serves them" "$(flows fwd '[.[] | [.src, .dst, .proto, .verdict]]')" \
	'[["10.1.2.0/24","10.1.1.0/24",0,"discard"]]'

# a policy that looks at a port of one host: what it does not concern still takes few elements
tap_check "port 22 of one host is blocked" gwctl gw1 xipsec xfrm policy add src 10.1.1.0/24 dst 10.1.2.9 proto tcp dport 22 \
	dir out action block priority 0
misses=$(reason flow_miss)
tap_check "10,000 of any address, port and protocol" scan h1 mixed 10.1.2. 10000
tap_check "a few dozen elements at most" test "$(flows out length)" -le 60
tap_check "masks are few" test "$(masks 2)" -le 8
tap_check "misses are few" test $(($(reason flow_miss) - misses)) -le 1000
wait_for 10 grep -q 'packet loss' "$XI_TMP/live.log"
# on a busy machine a worker that waits for its core lets the ring run over
tap_check "live traffic lost a tenth at most" grep -qE ' ([0-9]|10)(\.[0-9]+)?% packet loss' "$XI_TMP/live.log"

# no SA any more: the key managers are told once of all such flows
gwctl gw1 xipsec xfrm state flush
acquires=$(reason acquire) start=$(date +%s%N)
tap_check "5,000 of any address, port and protocol, and no SA" scan h1 mixed 10.1.2. 5000
# each of the elements once in five milliseconds, so it takes more reports the longer the scan took
took_ms=$((($(date +%s%N) - start) / 1000000))
tap_check "they are reported together" test $(($(reason acquire) - acquires)) -le $((200 + took_ms))
tap_done
