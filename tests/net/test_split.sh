#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The split path: an XDP program of the operator's (tests/net/framer.bpf.c) plays the first layer on gw1's plain port. It takes
# sequence numbers and frames; the worker does the crypto and nothing else; gw2, which knows nothing of it, takes it off.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip jq tcpdump ping bpftool
/usr/bin/python3 -c 'import cryptography' 2> /dev/null || tap_skip_all "python3-cryptography is not installed; run make deps"
[ -f "$XI_BUILD/tests/net/framer.bpf.o" ] || tap_skip_all "$XI_BUILD/tests/net/framer.bpf.o is not built; make tests builds it"

XI_SNAPLEN=2048             # few bytes a packet: the capture holds more of them
net_up || tap_skip_all "cannot make network namespaces"
pins=$XI_BPFFS/gw1
conf=$(gw_conf gw1)
sed -i '/^role = plain/a attach = none' "$conf"
start_both() {
	start_daemon gw1 "$conf" && start_daemon gw2
}
framer_attach() {
	local m maps=()
	for m in sad sa_state ports xsks; do
		maps+=(map name $m pinned "$pins/$m")
	done
	bpftool prog load "$XI_BUILD/tests/net/framer.bpf.o" "$XI_BPFFS/framer" type xdp "${maps[@]}" &&
		net_in gw1 ip link set dev lan0 xdpdrv pinned "$XI_BPFFS/framer" && orders=$(framer_map orders) &&
		[ -n "$orders" ]
}
# framer_map NAME: the id of a map of its own
framer_map() {
	local id
	for id in $(bpftool -j prog show pinned "$XI_BPFFS/framer" | jq '.map_ids[]'); do
		bpftool -j map show id "$id" | jq -r --arg name "$1" 'select(.name == $name) | .id'
	done
}
tap_check "two daemons start, gw1 without a program on its plain port" start_both || tap_done
tap_check "the operator's program takes its place" framer_attach || tap_done

le32() {
	printf '%02x %02x %02x %02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}
# handle SPI, 0 for 0; order SPI NEXT-SPI ADDRESS [LIE]: what the program does from now on
handle() {
	if [ $(($1)) = 0 ]; then
		echo 0
	else
		bpftool -j map dump pinned "$pins/sad_lookup" | jq ".[] | select(.formatted.key.spi == $(($1))) | .formatted.value"
	fi
}
order() {
	# shellcheck disable=SC2046,SC2086
	bpftool map update id "$orders" key hex 00 00 00 00 \
		value hex $(le32 "$(handle "$1")") $(le32 "$(handle "$2")") \
		$(printf '%02x ' ${3//./ }) $(le32 "${4:-0}")
}
sa() {
	gwctl "$1" xipsec show -j | jq -r --arg spi "$(printf 0x%08x "$2")" ".sas[] | select(.spi == \$spi) | $3"
}
reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}
drops() {
	gwctl "$1" xipsec stats -j | jq .drops
}
sa_is() {
	[ "$(sa "$1" "$2" "$3")" = "$4" ]
}
reason_is() {
	[ "$(reason "$1" "$2")" = "$3" ]
}
# tunnel [OPTION...]: both gateways anew; framed packets go to gw2's host
tunnel() {
	local gw
	for gw in gw1 gw2; do
		gwctl $gw xipsec xfrm state flush && gwctl $gw xipsec xfrm policy flush || return 1
		tunnel_lines $gw 4 4 "$@" | load_lines $gw || return 1
	done
	order 0x1001 0 10.1.2.2
}
pings() {
	local size
	for size in 0 1 2 3 4 5 56 57 1000 1372; do
		net_in h1 ping -q -c 2 -i 0.002 -W 2 -s $size 10.1.2.2 | grep ' 0% packet loss' || return 1
	done
}

# capture_end N: not before the capture has so many of gw1's ESP packets; it may lag behind
captured() {
	[ "$(pcap_count "$XI_TMP/wan-br.pcap" 'src host 192.0.2.1 and esp')" -ge "$1" ]
}
capture_end() {
	wait_for 20 captured "$1"
	capture_stop wan br
}

# without ESN, so that the capture can be checked by its headers alone
tap_check "ESP: SAs and policies" tunnel replay-window 64
capture_start wan br
tap_check "nothing is lost, at any padding" pings
capture_end 20
tap_check "only ESP is on the wire" only_esp "$XI_TMP/wan-br.pcap"
tap_check "gw1's SA has counted the packets" wait_for 5 sa_is gw1 0x1001 .packets 20
tap_is "and given out as many numbers" "$(sa gw1 0x1001 .oseq)" 20
tap_is "bytes are those of the packets inside" "$(sa gw1 0x1001 .bytes)" \
	$(((0 + 1 + 2 + 3 + 4 + 5 + 56 + 57 + 1000 + 1372 + 10 * 28) * 2))
tests/net/dummies.py "$XI_TMP/wan-br.pcap" 0x1001 "$(sa_key $((0x1001)))" > "$XI_TMP/inside"
tap_is "another implementation decrypts them all" "$(awk '$3 == 4' "$XI_TMP/inside" | wc -l)" 20
tap_is "nobody has dropped anything" "$(drops gw1) $(drops gw2)" "0 0"

# the host's own traffic by the same SA: its numbers are taken by the worker
net_in gw1 ip route add 10.1.2.2/32 dev xipsec0 src 10.1.1.1
capture_start wan br
net_bg own gw1 ping -q -c 300 -i 0.001 -W 2 10.1.2.2
tap_check "numbers of two layers in turns: the framed ones arrive" eval \
	'net_in h1 ping -q -c 300 -i 0.001 -W 2 10.1.2.2 | grep " 0% packet loss"'
wait_for 10 process_gone "${xi_pids["bg own"]}"
capture_end 600
tap_check "and so do the others" grep ' 0% packet loss' "$XI_TMP/own.log"
tests/net/dummies.py "$XI_TMP/wan-br.pcap" 0x1001 "$(sa_key $((0x1001)))" > "$XI_TMP/inside"
tap_is "no nonce came twice" "$(wc -l < "$XI_TMP/inside") $(sa gw1 0x1001 .oseq)" "600 620"
net_in gw1 ip route del 10.1.2.2/32 dev xipsec0

# frames that are not what they should be
lies() {
	local what=$1 lie=$2 reason=$3 before
	before=$(reason gw1 "$reason")
	order 0x1001 0 10.1.2.2 "$lie"
	net_in h1 ping -q -c 4 -i 0.01 -W 0.1 10.1.2.2 > /dev/null
	tap_check "$what: dropped as $reason" wait_for 5 reason_is gw1 "$reason" $((before + 4))
}
packets=$(sa gw1 0x1001 .packets) all=$(drops gw1)
capture_start wan br esp
lies "a number that nobody took" 1 worker_malformed
lies "padding beyond the packet" 2 worker_malformed
lies "another peer's address" 3 sa_gone
lies "no handle" 4 worker_meta
lies "the handle of an SA that is gone" 5 sa_gone
capture_stop wan br
tap_is "nothing of them was sent or counted" "$(pcap_count "$XI_TMP/wan-br.pcap") $(sa gw1 0x1001 .packets)" "0 $packets"
tap_is "each dropped once" "$(($(drops gw1) - all))" 20
order 0x1001 0 10.1.2.2
tap_check "good ones go on" pings

tap_check "ESN: numbers around 2^32" tunnel flag esn replay-window 64 replay-oseq 0xfffffff8 replay-seq 0xfffffff8
tap_check "nothing is lost" pings
tap_is "the SA is beyond" "$(sa gw1 0x1001 .oseq) $(sa gw2 0x1001 .top)" "$((0xfffffff8 + 20)) $((0xfffffff8 + 20))"

# AH, and one SA in another, to gw2 itself: one way
echoes() {
	net_in gw2 awk '/^Icmp:/ { for (i = 2; i <= NF; i++) if (!at && $i == "InEchos") at = i; n = $at } END { print n }' \
		/proc/net/snmp
}
echoes_are() {
	[ "$(echoes)" = "$1" ]
}
# one_way NAME SPI NEXT-SPI: 10 packets, each counted by each SA at both ends, and received by gw2's host
one_way() {
	local name=$1 spi before
	before=$(echoes)
	order "$2" "$3" 10.1.2.1
	net_in h1 ping -q -c 10 -i 0.005 -W 0.1 -s 77 10.1.2.1 > /dev/null
	for spi in $2 $3; do
		[ "$spi" = 0 ] || tap_check "$name: SA $spi has sent each" wait_for 5 sa_is gw1 "$spi" .packets 10
		[ "$spi" = 0 ] || tap_check "$name: the peer has taken off each" wait_for 5 sa_is gw2 "$spi" .packets 10
	done
	tap_check "$name: and its host got them" wait_for 5 echoes_are $((before + 10))
}
for gw in gw1 gw2; do
	gwctl $gw xipsec xfrm state flush
	gwctl $gw xipsec xfrm policy flush
	load_lines $gw <<- END
		xfrm state add src 192.0.2.1 dst 192.0.2.2 proto ah spi 0x3001 reqid 1 mode tunnel flag esn replay-window 64 auth-trunc hmac(sha256) 0x$(printf 9%.0s {1..64}) 128
		xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3002 reqid 2 mode tunnel flag esn replay-window 64 aead rfc4106(gcm(aes)) $(sa_key 32) 128
		xfrm state add src 10.1.1.2 dst 10.1.2.1 proto esp spi 0x3003 reqid 3 mode transport replay-window 64 aead rfc4106(gcm(aes)) $(sa_key 33) 128
	END
done
load_lines gw2 <<< "xfrm policy add src 10.1.1.2/32 dst 10.1.2.1/32 dir in tmpl src 192.0.2.1 dst 192.0.2.2 proto ah reqid 1 mode tunnel"
drops_before="$(drops gw1) $(drops gw2)"
one_way "AH with ESN" 0x3001 0
gwctl gw2 xipsec xfrm policy flush
load_lines gw2 <<< "xfrm policy add src 10.1.1.2/32 dst 10.1.2.1/32 dir in tmpl src 10.1.1.2 dst 10.1.2.1 proto esp reqid 3 mode transport tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 2 mode tunnel"
one_way "ESP in ESP" 0x3003 0x3002
tap_is "nobody has dropped anything" "$(drops gw1) $(drops gw2)" "$drops_before"

# a hard limit: the first layer does not know of it, the worker does
load_lines gw1 <<< "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3004 reqid 4 mode tunnel aead rfc4106(gcm(aes)) $(sa_key 34) 128 limit packet-hard 3"
load_lines gw2 <<< "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3004 reqid 4 mode tunnel aead rfc4106(gcm(aes)) $(sa_key 34) 128"
order 0x3004 0 10.1.2.1
capture_start wan br esp
net_in h1 ping -q -c 10 -i 0.005 -W 0.1 10.1.2.1 > /dev/null
tap_check "at its hard limit an SA goes" wait_for 10 sa_is gw1 0x3004 .spi ""
capture_end 3
tap_is "a hard limit holds" "$(pcap_count "$XI_TMP/wan-br.pcap" 'src host 192.0.2.1')" 3

net_in gw1 ip link set dev lan0 xdpdrv off
tap_check "gateway 1 stops cleanly" stop_daemon gw1
tap_check "gateway 2 stops cleanly" stop_daemon gw2
tap_done
