#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 180
# MTU 9000 on Debian's 6.1 kernel, where AF_XDP takes one buffer a packet: the gateway works with what that holds, passes
# on what is not protected, and says and counts what it cannot carry.
if [ -z "${VMTEST:-}" ]; then
	cd "$(dirname "$0")/.." || exit 1
	exec vmtest/vmrun -t 170 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
XI_WAN_MTU=9000 XI_LAN_MTU=9000
. tests/lib/netns.sh
. tests/lib/sas.sh

reason() {
	gwctl gw1 xipsec stats -j | jq ".reasons.$1"
}
said() {
	grep -qF "port $1: MTU 9000: packets of more than 3500 bytes are dropped (too_big): this kernel has no multi-buffer AF_XDP (Linux 6.6); set the MTU to 3500 or less" \
		"$XI_TMP/gw1.log"
}
# counted REASON SIZE: five pings of SIZE bytes that are to be protected end as REASON
counted() {
	local before
	before=$(reason "$1")
	net_in h1 ping -q -c 5 -i 0.05 -W 1 -s $(($2 - 28)) 10.1.2.2
	wait_for 5 grew "$1" $((before + 5)) && [ "$(reason "$1")" = $((before + 5)) ] && return
	gwctl gw1 xipsec stats
	return 1
}
grew() {
	[ "$(reason "$1")" -ge "$2" ]
}

ip xfrm policy list # loads the kernel's module, which the daemon's raw socket asks for
net_up wan gw1 gw2 h1 || tap_skip_all "cannot make network namespaces"
tap_check "the daemon starts" start_daemon gw1 || tap_done
tap_check "and says of each port what it carries" eval 'said wan0 && said lan0 && ! grep -q "port xipsec0-p: MTU" "$XI_TMP/gw1.log"'
tap_check "SAs" eval 'tunnel_lines gw1 | load_lines gw1'
tap_check "long packets to the host itself pass" eval 'net_in h1 ping -q -c 5 -i 0.05 -W 2 -s 8000 10.1.1.1 | grep " 0% packet loss"'
net_in h1 ping -q -c 1 -W 1 10.1.2.2 > /dev/null
tap_check "what one buffer holds is protected" counted fast_out 3400
tap_check "a packet in several buffers is counted" counted too_big 5000
tap_check "as is a longer one" counted too_big 8900
tap_is "and nothing else is dropped" "$(gwctl gw1 xipsec stats -j | jq '.reasons.rx_full')" 0
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
