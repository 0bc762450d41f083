#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck disable=SC2016
# Policies of the kernel's own XFRM, which is there without ESP, too: they are mirrored, what they protect is held and
# asked for by the kernel, and neither a daemon that is killed nor one that is gone lets it out in clear.
# vmtest/test_mirror.sh has what takes SAs.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh

# mirror_is POLICIES KEPT
mirror_is() {
	[ "$(gwctl gw1 xipsec show -j | jq -r '.mirror | "\(.synced) \(.policies) \(.policies_kept)"')" = "true $*" ]
}
kernel_policies() {
	tunnel_lines gw1 | grep "^xfrm policy" | net_in gw1 ip -batch -
}
fenced() { [ "$(net_in gw1 cat /proc/sys/net/ipv4/conf/wan0/disable_xfrm)" = 1 ]; }
acquired() {
	grep -q "acquire proto esp" "$XI_TMP/monitor.log"
}

net_up wan gw1 gw2 h1 h2 || { tap_not_ok "topology"; tap_done; }
net_in gw1 ip xfrm policy list || tap_skip_all "this kernel has no XFRM"
conf=$(gw_conf gw1 "[daemon]" "mirror = yes")
tap_check "the daemon starts" start_daemon gw1 "$conf" || tap_done
# the kernel it runs on; vmtest/test_mirror.sh has one with ESP
if net_in gw1 ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x9001 mode tunnel \
	aead 'rfc4106(gcm(aes))' 0x00112233445566778899aabbccddeeff00112233 128 2> /dev/null; then
	net_in gw1 ip xfrm state flush
else
	tap_check "it says that this kernel has no ESP" grep -q "this kernel has XFRM and no ESP" "$XI_TMP/gw1.log"
fi
tap_check "the kernel has no policies" wait_for 5 mirror_is 0 0
tap_check "without one the hosts talk" net_in h1 ping -q -c 2 -i 0.01 -W 2 10.1.2.2
capture_start wan w1
net_bg monitor gw1 ip xfrm monitor acquire
kernel_policies
tap_check "its policies are here" wait_for 5 mirror_is 3 0
# before, the kernel may ask for what it meets itself
tap_check "and in force" wait_for 5 fenced
net_in h1 ping -q -c 3 -l 3 -W 1 10.1.2.2 > /dev/null
tap_check "the kernel asks its key managers" wait_for 5 acquired
tap_is "once" "$(grep -c "acquire proto esp" "$XI_TMP/monitor.log")" 1
tap_is "one that is not carried is left to the kernel" "$(
	net_in gw1 ip xfrm policy update src 10.1.1.0/24 dst 10.1.2.0/24 dir out \
		tmpl src 192.0.2.1 dst 192.0.2.2 proto comp reqid 1 mode tunnel
	wait_for 5 mirror_is 2 1 && echo yes
)" yes
kernel_policies 2> /dev/null
net_in gw1 ip xfrm policy delete src 10.1.1.0/24 dst 10.1.2.0/24 dir out
kernel_policies 2> /dev/null
tap_check "and comes back when it is" wait_for 5 mirror_is 3 0
tap_check "all of them are in force: packets of the host pass the kernel's by" wait_for 5 fenced
tap_check "kill -9" kill_daemon gw1
tap_check "leaves that" fenced
tap_check "what systemd runs after it" net_in gw1 "$XI_DAEMON" -c "$conf" --fence-down
tap_check "takes it back" eval '! fenced'
tap_check "and does nothing a second time" net_in gw1 "$XI_DAEMON" -c "$conf" --fence-down
net_in h1 ping -q -c 3 -i 0.01 -W 1 10.1.2.2 > /dev/null
net_in gw1 ip xfrm policy delete src 10.1.2.0/24 dst 10.1.1.0/24 dir fwd
tap_check "the next daemon" start_daemon gw1 "$conf"
tap_check "finds one gone" wait_for 5 mirror_is 2 0
tap_check "what xipsec is given itself goes before" eval 'tunnel_lines gw1 | grep "policy.*dir out" | load_lines gw1'
tap_is "and is not the kernel's" "$(gwctl gw1 xipsec show -j | jq -c '[.policies[] | select(.dir == "out") | .kernel]')" "[null]"
tap_check "nothing left in clear" eval 'capture_stop wan w1 &&
	[ "$(pcap_count "$XI_TMP/wan-w1.pcap" "icmp[icmptype] = icmp-echo")" = 0 ]'
# a later daemon has a run directory of its own
tunnel_lines gw1 | sed -n 's/policy add \(.* dir out\) .*/policy delete \1/p' | load_lines gw1
tunnel_lines gw1 | sed -n 's/policy add/policy update/p' | net_in gw1 ip -batch -
tap_check "fenced again" wait_for 10 fenced
tap_check "kill -9" kill_daemon gw1
tap_check "that is left" fenced
tap_check "a daemon without a mirror, and with another run directory" start_daemon gw1 "$(gw_conf gw1)" --run-dir "$XI_TMP/elsewhere"
tap_check "finds it" eval '! fenced'
tap_check "and leaves no note" eval '! ls -d "$XI_BPFFS/gw1/fence"'
tap_check "the daemon stops" stop_daemon gw1
tap_check "one without a mirror" start_daemon gw1 "$(gw_conf gw1)"
tap_is "has nothing of the kernel's" "$(gwctl gw1 xipsec show -j | jq -c .policies)" "[]"
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
