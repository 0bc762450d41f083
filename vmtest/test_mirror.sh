#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 300
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
	exec vmtest/vmrun -t 290 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh

out=0x1001 in=0x1002 # as gw1 sees them

kernel_ip() {
	net_in "$1" ip "${@:2}"
}
show() {
	gwctl gw1 xipsec show -j
}
# mirror_is SAS POLICIES KEPT: what the mirror has taken over, and policies that it leaves, when nothing more waits
mirror_is() {
	[ "$(show | jq -r '.mirror | "\(.synced) \(.sas) \(.policies) \(.policies_kept)"')" = "true $*" ]
}
# ours SPI: packets of the SA in xipsec; nothing when it has none
ours() {
	show | jq -r ".sas[] | select(.spi == \"$(printf '0x%08x' "$1")\") | .packets"
}
kernel_packets() {
	kernel_ip "$1" -s xfrm state list spi "$2" | sa_packets "$2"
}
kernel_has() {
	[ -n "$(kernel_ip gw1 xfrm state list spi "$1")" ]
}
told() {
	[ "$(kernel_packets gw1 $out) $(kernel_packets gw1 $in)" = "$*" ]
}
# seq_check PCAP SPI: the numbers on the wire ascend, each but once
seq_check() {
	local numbers
	numbers=$(pcap_list "$1" "ip proto 50" | sed -n "s/.*spi=$(printf '0x%08x' "$2"),seq=\(0x[0-9a-f]*\).*/\1/p")
	# shellcheck disable=SC2086
	[ -n "$numbers" ] && printf '%d\n' $numbers |
		awk 'NR > 1 && $1 <= last { print "number " $1 " after " last; bad = 1 } { last = $1 } END { exit bad }'
}
no_loss() {
	wait_for 60 process_gone "${xi_pids["bg $1"]}" || return 1
	grep -q " 0% packet loss" "$XI_TMP/$1.log" && return
	cat "$XI_TMP/$1.log"
	gwctl gw1 xipsec stats -j | jq -c '.reasons | with_entries(select(.value > 0))'
	grep -v '[[:space:]]0$' <(net_in gw1 cat /proc/net/xfrm_stat) <(net_in gw2 cat /proc/net/xfrm_stat)
	return 1
}
pings() {
	net_in "$1" ping -q -c "$2" -i 0.01 -W 5 "${@:3}"
}
# The upper halves of the numbers are not 0, so an ICV is right with the right one alone.
esn=(replay-window 128 flag esn replay-seq 100 replay-oseq 100 replay-seq-hi 5 replay-oseq-hi 5)
# again: the newest packet to gw1 and that at the window's other edge, from the wire
again() {
	net_in gw2 python3 tests/lib/again.py "$XI_TMP/wan-w1.pcap" $in wan0 0 127
}
replays() {
	show | jq -r ".sas[] | select(.spi == \"$(printf '0x%08x' $in)\") | .errors.replay"
}
kernel_replays() {
	net_in gw1 awk '$1 == "XfrmInStateSeqError" { print $2 }' /proc/net/xfrm_stat
}
sum_is() {
	[ "$("$1")" = "$2" ]
}
# line SPI: the words of that SA, for ip
line() {
	tunnel_lines gw1 4 4 replay-window 128 flag esn | sed -n "s/xfrm state add \(.* spi $1 .*\)/\1/p"
}
monitored() {
	grep -qE "$1" "$XI_TMP/monitor.log"
}

modprobe -a esp4 xfrm_user gcm
ip xfrm policy list
net_up wan gw1 gw2 h1 h2 || { tap_not_ok "topology"; tap_done; }
for gw in gw1 gw2; do
	tunnel_lines $gw 4 4 "${esn[@]}" | kernel_ip $gw -batch -
done
tap_check "the kernels carry it" pings h1 3 10.1.2.2
tap_check "capture" capture_start wan w1

# over to xipsec and back, under pings
net_bg over h1 ping -q -c 400 -i 0.02 -W 5 10.1.2.2
conf=$(gw_conf gw1 "[daemon]" "mirror = yes")
tap_check "the daemon starts" start_daemon gw1 "$conf" || tap_done
tap_check "it takes over both SAs and all policies" wait_for 20 mirror_is 2 3 0 || show | jq .mirror
tap_check "no packet was lost on the way" no_loss over
before=$(ours $out)
kernel=$(kernel_packets gw2 $out)
tap_check "pings" pings h1 20 10.1.2.2
tap_is "xipsec carries them" "$(ours $out)" $((before + 20))
tap_is "the other side has got them" "$(kernel_packets gw2 $out)" $((kernel + 20))
tap_check "usage is told to the kernel" wait_for 15 told "$(ours $out)" "$(ours $in)"
tap_check "the host's own packets are protected" pings gw1 10 -I 10.1.1.1 10.1.2.2
tap_is "by xipsec, too" "$(ours $out)" $((before + 30))
tap_is "not by the kernel" "$(show | jq .mirror.strays)" 0
tap_check "and the other side reaches the host" pings h2 5 10.1.1.1

# what is not carried stays with the kernel, and so does what hangs together with it
before=$(ours $out)
net_bg kept h1 ping -q -c 300 -i 0.02 -W 5 10.1.2.2
kernel_ip gw1 xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3001 reqid $((out)) mode beet \
	aead 'rfc4106(gcm(aes))' 0x00112233445566778899aabbccddeeff00112233 128
tap_check "an SA that is not carried: the policy and its SA stay with the kernel" wait_for 20 mirror_is 1 2 1
tap_check "no packet was lost on the way" no_loss kept
tap_is "xipsec has given the SA back" "$(ours $out)" ""
kernel=$(kernel_packets gw1 $out)
tap_check "pings" pings h1 20 10.1.2.2
tap_is "the kernel carries them" "$(kernel_packets gw1 $out)" $((kernel + 20))
kernel_ip gw1 xfrm state delete dst 192.0.2.2 proto esp spi 0x3001
tap_check "without it both come back" wait_for 20 mirror_is 2 3 0
tap_check "pings" pings h1 5 10.1.2.2

# a daemon that is killed
tap_check "kill -9" kill_daemon gw1
tap_check "it starts again" start_daemon gw1 "$conf"
tap_check "with what it had" wait_for 20 mirror_is 2 3 0
tap_check "pings" pings h1 5 10.1.2.2

net_bg back h1 ping -q -c 300 -i 0.02 -W 5 10.1.2.2
tap_check "down: it is the kernel's again" gwctl gw1 xipsec down
# taking programs off devices, and xipsec0 away, loses what lies in their rings
tap_check "next to no packet was lost on the way" eval 'no_loss back || grep -qE "2[89][0-9] received" "$XI_TMP/back.log"'
tap_is "its own packets, too" "$(net_in gw1 cat /proc/sys/net/ipv4/conf/wan0/disable_xfrm)" 0
kernel=$(kernel_packets gw1 $out)
tap_check "pings" pings h1 5 10.1.2.2
tap_is "the kernel carries them" "$(kernel_packets gw1 $out)" $((kernel + 5))
tap_check "the capture is complete" capture_stop wan w1
tap_check "only ESP was on the wire" only_esp "$XI_TMP/wan-w1.pcap"
tap_check "numbers out ascend" seq_check "$XI_TMP/wan-w1.pcap" $out
tap_check "numbers in ascend" seq_check "$XI_TMP/wan-w1.pcap" $in

# a number that was accepted here is a replay there
tap_check "capture" capture_start wan w1
tap_check "as many pings as its window has numbers" pings h1 130 10.1.2.2
net_bg monitor gw1 ip xfrm monitor expire
tap_check "the daemon starts anew" start_daemon gw1 "$conf"
tap_check "and takes over" wait_for 20 mirror_is 2 3 0
before=$(ours $in)
tap_check "what the kernel accepted comes again" again
tap_check "xipsec counts two replays" wait_for 10 sum_is replays 2
tap_is "and accepts neither" "$(ours $in)" "$before"
tap_check "pings" pings h1 130 10.1.2.2
tap_is "each of which it accepts" "$(ours $in) $(replays)" "$((before + 130)) 2"
tap_check "the upper half is what it was" wait_for 10 eval 'kernel_ip gw1 xfrm state list spi $in | grep "seq-hi 0x5,"'
beet=(src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3001)
kernel_ip gw1 xfrm state add "${beet[@]}" reqid $((out)) mode beet aead 'rfc4106(gcm(aes))' 0x00112233445566778899aabbccddeeff00112233 128
kernel_ip gw1 xfrm state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x3002 reqid $((in)) mode beet \
	aead 'rfc4106(gcm(aes))' 0x00112233445566778899aabbccddeeff00112244 128
tap_check "both SAs go back" wait_for 20 mirror_is 0 2 1 || show | jq .mirror
kernel=$(kernel_packets gw1 $in) refused=$(kernel_replays)
tap_check "what xipsec accepted comes again" again
tap_check "the kernel counts two replays" wait_for 10 sum_is kernel_replays $((refused + 2))
tap_is "and accepts neither" "$(kernel_packets gw1 $in)" "$kernel"
tap_check "pings" pings h1 3 10.1.2.2
tap_is "each of which it accepts" "$(kernel_packets gw1 $in) $(kernel_replays)" "$((kernel + 3)) $((refused + 2))"
kernel_ip gw1 xfrm state delete dst 192.0.2.2 proto esp spi 0x3001
kernel_ip gw1 xfrm state delete dst 192.0.2.1 proto esp spi 0x3002
tap_check "without the others both come back" wait_for 20 mirror_is 2 3 0
tap_check "the capture is complete" capture_stop wan w1

# limits
packets=$(ours $out)
# shellcheck disable=SC2046
kernel_ip gw1 xfrm state update $(line $out) limit packet-soft $((packets + 5)) limit packet-hard $((packets + 15))
pings h1 10 10.1.2.2 > /dev/null
tap_check "a limit of packets: EXPIRE soft" wait_for 10 monitored "spi 0x0*1001.*|hard no"
net_in h1 ping -q -c 10 -i 0.01 -W 1 10.1.2.2 > /dev/null
tap_check "then hard" wait_for 10 monitored "hard (1|yes)"
tap_check "the kernel has deleted it" eval '! kernel_has $out'
tap_check "and so has xipsec" wait_for 10 mirror_is 1 3 0
kernel_ip gw1 xfrm state flush
tap_check "flush" wait_for 10 mirror_is 0 3 0
kernel_ip gw1 xfrm policy flush
tap_check "flush of policies" wait_for 10 mirror_is 0 0 0
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
