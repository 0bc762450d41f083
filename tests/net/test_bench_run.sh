#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# The benchmark's machinery, on short measurements whose figures do not matter.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool jq bpftool
. tests/lib/netns.sh
bench=$XI_BUILD/tests/bench
[ -x "$bench/gen" ] && [ -x "$bench/latency" ] && [ -x "$bench/scale_gen" ] || tap_skip_all "$bench/gen, latency and scale_gen are not built; make bench builds them"
[ "$(nproc)" -ge 2 ] || tap_skip_all "needs two CPUs"
[ "${XIPSEC_SLOW:-1}" = 1 ] || tap_skip_all "what is measured needs a machine that keeps up"

sleep 60 &
xi_pids["bg asleep"]=$!
yes > /dev/null &
xi_pids["bg busy"]=$!
tests/bench/idle.py 1 "asleep=${xi_pids["bg asleep"]}" "busy=${xi_pids["bg busy"]}" > "$XI_TMP/idle.json"
kill "${xi_pids["bg asleep"]}" "${xi_pids["bg busy"]}"
tap_is "a daemon that sleeps costs nothing, one that does not is noticed" \
	"$(jq -c '[.asleep < 0.01, .busy > 0.05]' "$XI_TMP/idle.json")" "[true,true]"

net_add left mid right
net_veth left vl mid m1 1500 && net_veth mid m2 right vr 1500
net_addr mid m1 10.1.1.1/24 && net_addr mid m2 10.1.2.1/24
net_in mid ip neigh add 10.1.2.2 lladdr 02:00:00:00:00:02 dev m2 nud permanent
net_in mid ip link set dev m1 address 02:00:00:00:00:01
tests/bench/frames.py --out "$XI_TMP/f.pcap" --eth-src 02:00:00:00:00:09 --eth-dst 02:00:00:00:00:01 \
	--src 10.1.1.2 --dst 10.1.2.2 --size 64 --count 1
# latency PATH...: 100 packets
latency() {
	"$bench/latency" "/run/netns/$XI_NS-left" "/run/netns/$XI_NS-right" "$XI_TMP/f.pcap" 100 1000 "$@" 2>&1
}
tap_is "latency through a router" \
	"$(latency one:vl:vr two:vl:vr | jq -c 'map_values([.packets, .lost, .p50 > 0 and .p50 <= .p99 and .p99 <= .max])')" \
	'{"one":[100,0,true],"two":[100,0,true]}'
tap_is "and of a thread's waking" \
	"$(latency one:vl:vr "two:$(taskset -pc $$ | sed 's/.*[-,: ]//')" |
		jq -c 'map_values([.packets, .lost, .p50 > 0 and .p50 <= .p99 and .p99 <= .max])')" \
	'{"one":[100,0,true],"two":[100,0,true]}'
net_in mid sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
tap_is "packets that do not arrive are lost" "$(latency one:vl:vr | jq -c '.one | [.packets, .lost]')" "[0,100]"
tap_is "a wrong device is an error" "$(latency one:vl:nothere)" "latency: No such device"

net_bg forward mid "$bench/gen" forward m1 m2
wait_for 10 sh -c "nsenter --net=/run/netns/$XI_NS-mid ip link show dev m1 | grep -q prog/xdp"
tap_is "a program that keeps others' frames to itself is noticed" \
	"$(net_in mid tests/bench/foreign.py 1 10 m1=plain 2>&1)" \
	"foreign: ARP on the plain port is not left to the kernel: verdict 4"

# status 1 says that a goal was missed, which on a machine that runs tests says nothing
XI_BUILD=$XI_BUILD LATENCY_PACKETS=250 ENGINES_ROUNDS=1 tests/bench/run.sh -r 2 -s 0.2 -z 64 -e "foreign latency engines" -o "$XI_TMP/bench" \
	-c "redirect forward-xsk@tc encrypt-xsk@tc encrypt-xsk@xdp decrypt-xsk@skb encrypt-xsk-1k@tc decrypt-xsk-1k@tc" \
	> "$XI_TMP/bench.log" 2>&1
rc=$?
tap_check "a run gives a result" test $rc -le 1
tap_is "of every case" "$(jq -c '[.results[] | "\(.case)@\(.sink) \(.rounds)"]' "$XI_TMP/bench/bench.json")" \
	'["redirect@xdp 2","forward-xsk@tc 2","encrypt-xsk@tc 2","encrypt-xsk@xdp 2","decrypt-xsk@skb 2","encrypt-xsk-1k@tc 2","decrypt-xsk-1k@tc 2"]'
tap_is "and goals" "$(jq -c '[.ratios[] | .above], (.figures | length)' "$XI_TMP/bench/bench.json" | tr -d '\n')" \
	'["encrypt-xsk@tc","encrypt-xsk-1k@tc"]9'
tap_is "latency of the kernel, a wake-up, and gateways" \
	"$(jq -c 'select(.extra == "latency") | .result | keys' "$XI_TMP/bench/extras.jsonl")" \
	'["burst, spin=2000","kernel","wake","xsk"]'
tap_is "each algorithm by each engine that runs here, at three sizes, one by one to 64 together" \
	"$(jq -c '.algorithms | [(map(.transform) | unique | length > 20), (group_by([.transform, .engine]) |
		map(length) | unique), (map(.seal_ns, .open_ns) | min > 0)]' "$XI_TMP/bench/bench.json")" '[true,[18],true]'
tap_is "and a line of text for each" "$(grep -cE ' (openssl|ipsec-mb) .*[0-9]/[0-9]' "$XI_TMP/bench.log")" \
	"$(jq '[.algorithms[] | [.transform, .engine]] | unique | length' "$XI_TMP/bench/bench.json")"
if chrt -f 1 true 2> /dev/null; then
	tap_is "every gateway is measured with half of its core too" "$(jq -c 'select(.held.hold > 0.9 and
		.held.cpu < 0.6 * .held.seconds and .held.offered >= .held.mpps * 0.98)' "$XI_TMP/bench/runs.jsonl" | wc -l)" 14
else
	tap_skip "every gateway is measured with half of its core too" "no real-time scheduling here"
fi
[ "$tap_failed" = 0 ] || tap_comment "$(cat "$XI_TMP/bench.log")"
tests/bench/scale.sh -r 1 -n "1 2000" -z 64 -o "$XI_TMP" throughput reconfig > "$XI_TMP/scale.log" 2>&1
rc=$?
tap_check "a run of many SAs gives a result" test $rc -le 1
tap_is "of each number of SAs and each order" \
	"$(jq -c '[.throughput.results[] | select(.mpps > 0) | "\(.kind) \(.order) \(.n)"]' "$XI_TMP/bench-scale.json")" \
	'["redirect hot 1","fast hot 1","redirect hot 2000","fast hot 2000","redirect zipf 2000","fast zipf 2000","redirect uniform 2000","fast uniform 2000"]'
tap_is "a table that is too small shows in how many had a slot" "$(jq -c '[.throughput.results[] | select(.kind == "fast") |
	[.order, .n, .fast > 0.999]]' "$XI_TMP/bench-scale.json")" \
	'[["hot",1,true],["hot",2000,true],["zipf",2000,false],["uniform",2000,false]]'
tap_is "live traffic beside each change" "$(jq -c '[.reconfig.results[] | .job]' "$XI_TMP/bench-scale.json")" \
	'["nothing","add","rekey","delete","flush"]'
[ "$tap_failed" = 0 ] || tap_comment "$(cat "$XI_TMP/scale.log")"
out=$(tests/bench/scale.sh nothing 2>&1)
tap_is "an unknown section is named" "$? ${out%%:*}" "3 scale"
out=$(tests/bench/run.sh -c nothing -o "$XI_TMP/bench" 2>&1)
tap_is "an unknown case is named" "$? $out" "3 bench: no case is called nothing"
tap_done
