#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 5: a deleted or changed SA or policy is never used by a packet that arrives after the change was acknowledged; a
# rekey invalidates its own flows, not everybody's.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping jq

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
	{ tunnel_lines $gw 4 4; tunnel_lines $gw 4 6; } | load_lines $gw
done
pings() {
	net_in h1 ping -q -c 10 -i 0.002 -W 1 "$1" | grep -q "$2"
}
reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}
esp_with() {
	pcap_count "$XI_TMP/wan-br.pcap" "src host 192.0.2.1 and esp and ip[20:4] = $1"
}
policy_out() {
	echo "src 10.1.1.0/24 dst 10.1.2.0/24 dir out"
}

capture_start wan br
tap_check "the tunnel carries traffic" pings 10.1.2.2 ' 0% packet loss'
tap_check "and the other one too" pings fd00:2::2 ' 0% packet loss'

# rekey: a newer SA for the same policy
rekey() {
	local spi=0x3001
	for gw in gw2 gw1; do
		sa_lines 192.0.2.1 192.0.2.2 $spi "$(sa_key 77)" | sed "s/reqid [0-9]*/reqid $((SA_BASE + 1))/" | load_lines $gw || return 1
	done
}
tap_check "rekey: the peer's inbound SA, then our outbound one" rekey
tap_check "traffic goes on" pings 10.1.2.2 ' 0% packet loss'
tap_is "its verdict was taken out of flow_cache, once" "$(reason gw1 flow_forgotten)" 1
misses=$(reason gw1 flow_miss)
tap_check "and with the new verdict" pings 10.1.2.2 ' 0% packet loss'
tap_check "the other tunnel's traffic goes on" pings fd00:2::2 ' 0% packet loss'
tap_is "no flow of either missed again" "$(($(reason gw1 flow_miss) - misses))" 0
wire() {
	wait_for 5 sh -c "[ \"\$(tcpdump -n -r $XI_TMP/wan-br.pcap 'esp and ip[20:4] = 0x3001' 2> /dev/null | wc -l)\" -ge 10 ]"
}
tap_check "the new SA is in use at once" wire

tap_check "the old SA is deleted" gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi $((SA_BASE + 1))
tap_check "it is gone from sa_cache" sh -c "! bpftool map dump pinned $XI_BPFFS/gw1/sa_cache | grep -q 'spi.: $((SA_BASE + 1)),'"
before=$(esp_with $((SA_BASE + 1)))
tap_check "traffic goes on with the new one" pings 10.1.2.2 ' 0% packet loss'

tap_check "the inbound SA of the peer is deleted" gwctl gw2 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3001
tap_is "it is gone from the peer's sa_cache before the answer" \
	"$(bpftool -j map dump pinned "$XI_BPFFS/gw2/sa_cache" | jq '[.[] | select(.formatted.key.spi == 12289)] | length')" 0
drops=$(reason gw2 unknown_spi)
tap_check "its packets are not accepted any more" pings 10.1.2.2 '100% packet loss'
tap_is "they are counted as unknown SPI" "$(($(reason gw2 unknown_spi) - drops))" 10
wait_for 1 false
capture_stop wan br
tap_is "the deleted SA sent nothing after the answer" "$(esp_with $((SA_BASE + 1)))" "$before"

# an outbound SA goes, and none takes its place: its flows are in flow_cache, its context in a slot
v6_spi=$((SA_BASE + 33))
tap_check "the IPv6 tunnel carries traffic" pings fd00:2::2 ' 0% packet loss'
tap_check "its outbound SA is deleted" gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi $v6_spi
capture_start wan br
drops=$(reason gw1 no_sa)
tap_check "nothing passes" pings fd00:2::2 '100% packet loss'
tap_is "packets are counted as without an SA" "$(($(reason gw1 no_sa) - drops))" 10
capture_stop wan br
tap_is "the deleted SA sent nothing after the answer" "$(esp_with $v6_spi)" 0

# policy changes, against flows that are in flow_cache
capture_start wan br
tap_check "policy becomes discard" gwctl gw1 xipsec xfrm policy update $(policy_out) action block
drops=$(reason gw1 policy_discard)
tap_check "nothing passes" pings 10.1.2.2 '100% packet loss'
tap_check "the flow is discarded" test "$(($(reason gw1 policy_discard) - drops + $(reason gw1 worker_discard)))" -ge 10
# a policy of one address in front of those that protect the whole network: its verdict is cached, and goes with it
tap_check "policy protects again" gwctl gw1 xipsec xfrm policy update $(policy_out) priority 100 \
	tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $((SA_BASE + 1)) mode tunnel
one_out="src 10.1.1.0/24 dst 10.1.2.9 dir out"
one_in="src 10.1.2.9 dst 10.1.1.0/24 dir fwd"
gwctl gw1 xipsec xfrm policy update src 10.1.2.0/24 dst 10.1.1.0/24 dir fwd priority 100 \
	tmpl src 192.0.2.2 dst 192.0.2.1 proto esp reqid $((SA_BASE + 2)) mode tunnel
tap_check "one address is bypassed: out" gwctl gw1 xipsec xfrm policy add $one_out priority 1
tap_check "and forwarded in" gwctl gw1 xipsec xfrm policy add $one_in priority 1
net_in wan ip addr add 10.1.2.9/32 dev lo
net_in gw1 ip route replace 10.1.2.9/32 via 192.0.2.254
net_in wan ip route add 10.1.1.0/24 via 192.0.2.1
tap_check "bypassed traffic passes in clear" pings 10.1.2.9 ' 0% packet loss'
clear_in() {
	net_in wan ping -q -c 10 -i 0.002 -W 1 -I 10.1.2.9 10.1.1.2 | grep -q "$1"
}
tap_check "and comes in in clear" wait_for 5 clear_in ' 0% packet loss'
# XI_KEY_DIR, the low two bits
tap_check "the verdicts are in flow_cache" test "$(bpftool -j map dump pinned "$XI_BPFFS/gw1/flow_cache" |
	jq '[.[] | select(.formatted.value.verdict == "XI_VERDICT_BYPASS") | .formatted.key.bits % 4] | unique | length')" = 2
tap_check "the policy is deleted: in" gwctl gw1 xipsec xfrm policy delete $one_in
clear_drops() {
	echo $(($(reason gw1 clear_in) + $(reason gw1 worker_clear_in)))
}
drops=$(clear_drops)
tap_check "what came in in clear does not any more" clear_in '100% packet loss'
tap_is "and is counted" "$(($(clear_drops) - drops))" 10
capture_stop wan br
tap_check "as the policy says, it was in clear" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp[0] = 8 and dst host 10.1.2.9')" -ge 10
tap_is "and discarded packets did not leave" "$(pcap_count "$XI_TMP/wan-br.pcap" 'src net 10.1.1.0/24 and dst host 10.1.2.2')" 0
tap_check "the policy is deleted: out" gwctl gw1 xipsec xfrm policy delete $one_out
capture_start wan br
tap_check "what left in clear does not any more" pings 10.1.2.9 '100% packet loss'
capture_stop wan br
tap_is "none of it left in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" 'src net 10.1.1.0/24 and dst net 10.1.2.0/24')" 0
tap_done
