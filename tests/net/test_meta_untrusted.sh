#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 7: metadata crosses a veth pair, so what a packet arrives with is discarded at the first program, and none of
# ours is on a frame that leaves.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool tcpdump jq bpftool
/usr/bin/python3 -c 'import cryptography' 2> /dev/null || tap_skip_all "python3-cryptography is not installed; run make deps"
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/peer.sh
meta=$XI_BUILD/tests/net/meta
[ -x "$meta" ] || tap_skip_all "$meta is not built; make tests builds it"

tap_check "gw1, h1 and a peer" peer_up || tap_done
wan_mac=$(net_in gw1 ip -j link show dev wan0 | jq -r '.[0].address')
lan_mac=$(net_in gw1 ip -j link show dev lan0 | jq -r '.[0].address')
spi_in=$((SA_BASE + 2)) spi_out=$((SA_BASE + 1)) spi_decoy=0x6666
handle() {
	bpftool -j map dump pinned "$XI_BPFFS/gw1/sad_lookup" |
		jq ".[] | select(.formatted.key.spi == $(($1))) | .formatted.value"
}
# send KIND: frames of meta_frames.py, from the wire, or from h1
send() {
	local kind=$1 name=wan dev=w1 to=$wan_mac
	shift
	case $kind in
	out | foreign) name=h1 dev=lan0 to=$lan_mac ;;
	esac
	tests/net/meta_frames.py "$kind" "$to" "$handle_in" "$handle_out" $spi_in "$(sa_key $spi_in)" "$@" |
		net_in $name "$meta" send $dev
}
# watch NAME DEV xdp|tc; watched LABEL: what it saw
watch() {
	net_bg "watch-$1-$3" "$1" "$meta" watch "$2" "$3"
	wait_for 5 grep -q ready "$XI_TMP/watch-$1-$3.log"
}
watched() {
	local pid=${xi_pids["bg watch-$1"]}
	kill "$pid"
	wait_for 5 process_gone "$pid"
	tail -n 1 "$XI_TMP/watch-$1.log"
}
sum() {
	local r n=0
	for r; do
		n=$((n + $(gw_reason "$r")))
	done
	echo $n
}
# judged NAME KIND REASON...: each of the eight frames ends so, and had its metadata discarded
judged() {
	local name=$1 kind=$2 before strip
	shift 2
	before=$(sum "$@") strip=$(gw_reason meta_stripped)
	send "$kind" "${seq:-1}" || { tap_not_ok "$name" "frames were not sent"; return; }
	wait_for 3 reached $((before + 8)) "$@"
	tap_is "$name" "$(($(sum "$@") - before)), metadata of $(($(gw_reason meta_stripped) - strip)) discarded" \
		"8, metadata of 8 discarded"
}
reached() {
	local want=$1
	shift
	[ "$(sum "$@")" -ge "$want" ]
}

# older kernels carry 32 bytes of metadata at most
printf '%0128d %0120d\n' 0 0 | net_in wan "$meta" send w1 || export META_MOST=32

handle_in=0 handle_out=0
watch gw1 wan0 xdp
send control
tap_is "metadata do arrive where nobody discards them" "$(watched gw1-xdp | jq -c '[.with_meta, .with_ours]')" "[2,1]"

tap_check "xipsecd starts" start_daemon gw1 || tap_done
peer_tunnel 4 4 replay-window 64
sa_lines 192.0.2.1 192.0.2.2 $spi_decoy "$(sa_key 6)" | load_lines gw1
net_in gw1 ping -q -c 1 -W 2 192.0.2.2 > /dev/null
handle_in=$(handle $spi_in) handle_out=$(handle $spi_decoy)
tap_check "handles to forge" test "${handle_in:-0}" -gt 0 -a "${handle_out:-0}" -gt 0
capture_start wan br
capture_start h1 lan0 'icmp[0] = 0'
watch h1 lan0 xdp
watch peer p0 xdp

judged "cleartext that claims to be decrypted is dropped" clear clear_in worker_clear_in
judged "again, with verdicts in the cache" clear clear_in worker_clear_in
judged "an unknown SPI with the handle of a known SA is dropped" unknown-spi unknown_spi
judged "a bad ICV that claims to be verified is dropped" bad-icv icv_bad
drops=$(gw_drops)
judged "good ESP is decrypted" good tx_direct tx_host
seq=9 judged "good ESP is decrypted, from the cache" good tx_direct tx_host
judged "cleartext to be protected is encrypted" out fast_out slow_out
judged "again, with verdicts in the cache" out fast_out slow_out
strip=$(gw_reason meta_stripped)
send foreign
wait_for 3 reached $((strip + 8)) meta_stripped
tap_is "traffic that no policy names loses them too" "$(($(gw_reason meta_stripped) - strip))" 8
tap_is "nothing else was dropped" "$(($(gw_drops) - drops))" 0
on_wire() {
	pcap_count "$XI_TMP/wan-br.pcap" "$1"
}
wait_for 3 eval '[ "$(on_wire "src host 192.0.2.1 and (esp or icmp[0] = 0)")" -ge 24 ]'
capture_stop h1 lan0
capture_stop wan br
tap_is "h1 got what was decrypted, and no more" "$(pcap_count "$XI_TMP/h1-lan0.pcap" 'dst host 10.1.1.2')" 16
tap_is "the wire got what was encrypted, with the policy's SA" \
	"$(on_wire "src host 192.0.2.1 and esp"), $(on_wire "esp and ip[20:4] = $spi_out")" "16, 16"
tap_is "nothing in clear but what no policy names" \
	"$(on_wire "src net 10.1.1.0/24"), $(on_wire "src net 10.1.1.0/24 and dst host 192.0.2.254")" "8, 8"

no_meta='.frames >= 16 and .with_meta == 0 and .with_ours == 0'
seen=$(watched h1-xdp)
tap_is "frames leave the plain port without metadata: $seen" "$(jq "$no_meta" <<< "$seen")" true
seen=$(watched peer-xdp)
tap_is "frames leave the cipher port without metadata: $seen" "$(jq "$no_meta" <<< "$seen")" true

# without a neighbour to be asked for, the host forwards: past xipsec0, where each packet gets a record
watch h1 lan0 tc
net_in gw1 ip neigh flush dev lan0
host=$(gw_reason tx_host)
seq=17 judged "good ESP while the next hop is not known" good tx_direct tx_host
tap_check "some of it went through the host" test "$(gw_reason tx_host)" -gt "$host"
seen=$(watched h1-tc)
tap_is "and left without metadata: $seen" "$(jq '.frames >= 8 and .with_ours == 0' <<< "$seen")" true
tap_done
