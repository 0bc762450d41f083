#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 150
# shellcheck disable=SC2016,SC2034
#
# The mirror: SAs and policies are given to the kernel of gw1, which has ESP, and xipsec carries them.
#
#   h1 --- gw1 (kernel XFRM, xipsecd with mirror = yes) === wan === gw2 (kernel ESP) --- h2
#
# What goes over from the kernel to xipsec and back must cost no packet, and no sequence number may come twice or
# go back.
if [ -z "${VMTEST:-}" ]; then
	cd "$(dirname "$0")/.." || exit 1
	exec vmtest/vmrun -t 140 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh

out=0x1001 in=0x1002 # as gw1 sees them

kernel_ip() {
	net_in "$1" ip "${@:2}"
}
kernel_load() {
	kernel_ip "$1" -batch -
}
# of the mirror of gw1, by name
mirror() {
	gwctl gw1 xipsec show -j | jq -r ".mirror.$1"
}
mirror_is() {
	[ "$(mirror "$1")" = "$2" ]
}
settled() {
	mirror_is synced true && mirror_is sas "$1"
}
# ours SPI FIELD: of the SA in xipsec; nothing when it has none
ours() {
	gwctl gw1 xipsec show -j | jq -r ".sas[] | select(.spi == \"$(printf '0x%08x' "$1")\") | .$2"
}
kernel_packets() {
	kernel_ip "$1" -s xfrm state list spi "$2" | sa_packets "$2"
}
xfrm_stat() {
	net_in "$1" awk -v name="$2" '$1 == name { print $2 }' /proc/net/xfrm_stat
}
# seq_check PCAP SPI: the numbers on the wire ascend, each but once; prints how many, the first and the last
seq_check() {
	pcap_list "$1" "ip proto 50" | sed -n "s/.*spi=$(printf '0x%08x' "$2"),seq=\(0x[0-9a-f]*\).*/\1/p" |
		while read -r hex; do echo $((hex)); done |
		awk 'NR > 1 && $1 <= last { print "number " $1 " after " last; bad = 1 }
			NR == 1 { first = $1 } { last = $1 } END { print NR, first, last; exit bad || !NR }'
}
no_loss() {
	grep -q " 0% packet loss" "$XI_TMP/$1.log" || { cat "$XI_TMP/$1.log"; return 1; }
}
ping_ended() {
	process_gone "${xi_pids["bg $1"]}"
}

set -x; modprobe -a esp4 xfrm_user gcm
ip xfrm policy list
net_up wan gw1 gw2 h1 h2 || { tap_not_ok "topology"; tap_done; }
tunnel_lines gw1 4 4 replay-window 128 flag esn | kernel_load gw1
tunnel_lines gw2 4 4 replay-window 128 flag esn | kernel_load gw2
tap_check "the kernels carry it" net_in h1 ping -q -c 3 -i 0.01 -W 3 10.1.2.2
tap_check "capture" capture_start wan w1

# over to xipsec and back, under a ping
net_bg ping h1 ping -q -c 300 -i 0.02 -W 5 10.1.2.2
conf=$(gw_conf gw1 "[daemon]" "mirror = yes")
tap_check "the daemon starts" start_daemon gw1 "$conf" || tap_done
tap_check "both SAs are taken over" wait_for 10 settled 2 || { gwctl gw1 xipsec show; tail -5 "$XI_TMP/gw1.log"; }
tap_is "and all policies" "$(mirror policies)/$(mirror policies_kept)" 3/0
carried() {
	[ "$(ours $out packets)" -gt $1 ] && [ "$(ours $in packets)" -gt $1 ]
}
before=$(ours $out packets)
tap_check "xipsec carries the ping" wait_for 10 carried $((before + 20))
tap_check "usage is told to the kernel" wait_for 5 eval '[ "$(kernel_packets gw1 $out)" -gt '$((before + 20))' ]'
gwctl gw1 xipsec show
kernel_ip gw1 -s xfrm state
tap_check "down: it is the kernel's again" gwctl gw1 xipsec down
tap_check "the ping ends" wait_for 20 ping_ended ping
tap_check "no packet was lost" no_loss ping
cat "$XI_TMP/ping.log"
kernel_ip gw1 -s xfrm state
tap_check "the capture is complete" capture_stop wan w1
tap_check "only ESP was on the wire" only_esp "$XI_TMP/wan-w1.pcap"
tap_check "numbers out ascend" seq_check "$XI_TMP/wan-w1.pcap" $out
tap_check "numbers in ascend" seq_check "$XI_TMP/wan-w1.pcap" $in
seq_check "$XI_TMP/wan-w1.pcap" $out
net_in gw1 cat /proc/net/xfrm_stat | grep -v '[[:space:]]0$'
net_in gw2 cat /proc/net/xfrm_stat | grep -v '[[:space:]]0$'
tail -20 "$XI_TMP/gw1.log"
tap_done
