#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The host's own traffic: routed into xipsec0 and encrypted; decrypted for the host and seen on xipsec0 in clear.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping bpftool jq

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	n=${gw#gw}
	net_addr $gw lo 10.1.$n.1/32 fd00:$n::1/128
	start_daemon $gw || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	{ tunnel_lines $gw 4 4 flag esn replay-window 64; tunnel_lines $gw 4 6 flag esn replay-window 64; } | load_lines $gw
	net_in $gw ip route replace 10.1.$((3 - n)).0/24 dev xipsec0 src 10.1.$n.1
	net_in $gw ip -6 route replace fd00:$((3 - n))::/64 dev xipsec0 src fd00:$n::1
done

ping_host() {
	net_in gw1 ping -q -c 20 -i 0.005 -W 2 "$@" | grep ' 0% packet loss'
}
tcp_host() {
	rm -f "$XI_TMP/got"
	head -c 2000000 /dev/urandom > "$XI_TMP/blob"
	net_bg sink gw2 timeout 20 sh -c "nc -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in gw2 sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in gw1 timeout 20 nc -N 10.1.2.1 7000 < "$XI_TMP/blob" || return 1
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}

XI_SNAPLEN=96 capture_start wan br
capture_start gw1 xipsec0 icmp
tap_check "host to host: ping over IPv4" ping_host -I 10.1.1.1 10.1.2.1
tap_check "host to host: ping over IPv6" ping_host -I fd00:1::1 fd00:2::1
capture_stop gw1 xipsec0
tap_is "tcpdump on xipsec0 shows both directions in clear" "$(pcap_count "$XI_TMP/gw1-xipsec0.pcap" 'icmp and host 10.1.2.1')" 40
tap_check "host to host: TCP arrives intact, through a path MTU that the tunnel lowers" tcp_host
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"

dump=$(bpftool -j map dump pinned "$XI_BPFFS/gw1/sa_cache")
tap_is "bpftool map dump shows sa_cache with named fields" 	"$(jq -r '[.[].formatted.value.method] | unique | join(",")' <<< "$dump")" XI_METHOD_FAST
tap_is "sa_cache holds the SA under its SPI" "$(jq -r '[.[].formatted.key.spi] | sort | join(",")' <<< "$dump")" "$((SA_BASE + 2)),$((SA_BASE + 34))"
# the SA a packet came through, as the host's stack sees it: the output mark selects a rule that refuses the packet
tap_check "an inbound SA with an output mark" gwctl gw1 xipsec xfrm state update src 192.0.2.2 dst 192.0.2.1 proto esp \
	spi $((SA_BASE + 2)) reqid $((SA_BASE + 2)) mode tunnel aead 'rfc4106(gcm(aes))' "$(sa_key $((SA_BASE + 2)))" 128 \
	flag esn replay-window 64 output-mark 0x7 mask 0xff
tap_check "packets come through it" ping_host -I 10.1.1.1 10.1.2.1
net_in gw1 sh -c 'ip rule add pref 100 lookup local; ip rule del pref 0; ip rule add pref 50 fwmark 0x7/0xff prohibit'
tap_check "and carry its mark: a rule by mark refuses them" sh -c "! nsenter --net=/run/netns/$XI_NS-gw1 ping -q -c 3 -i 0.01 -W 1 -I 10.1.1.1 10.1.2.1"
tap_check "those of an SA without one pass" ping_host -I fd00:1::1 fd00:2::1
net_in gw1 ip rule del pref 50

ping_host 192.0.2.2 > "$XI_TMP/clear.txt"
tap_check "traffic that no policy names is left alone" grep -q ' 0% packet loss' "$XI_TMP/clear.txt"
tap_done
