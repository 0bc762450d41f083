#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The test bed itself, without xipsec: everything reaches everything, captures are complete.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool ping tcpdump
. tests/lib/netns.sh

tap_check "five namespaces come up" net_up
tap_check "the wire is watched" capture_start wan w1
tap_check "IPv4 from host to host" net_in h1 ping -q -c 3 -i 0.01 -W 2 10.1.2.2
tap_check "IPv6 from host to host" net_in h1 ping -q -c 3 -i 0.01 -W 2 fd00:2::2
tap_check "the capture is complete" capture_stop wan w1
pcap=$XI_TMP/wan-w1.pcap
tap_is "each packet is captured once" "$(pcap_count "$pcap" icmp)+$(pcap_count "$pcap" \
	'icmp6 and (ip6[40] = 128 or ip6[40] = 129)')" "6+6"
out=$(only_esp "$pcap")
tap_is "cleartext on the wire is noticed" "$? ${out%%:*}" "1 cleartext on the wire"
tap_check "a host on the bridge" eval \
	'net_add mallory && net_plug mallory eth0 192.0.2.66/24 2001:db8::66/64 &&
	net_in mallory ping -q -c 1 -W 2 192.0.2.1 && net_in mallory ping -q -c 1 -W 2 2001:db8::2'
tap_check "bpffs is private to the test" mountpoint -q "$XI_BPFFS"
tap_done
