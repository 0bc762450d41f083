#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 300
#
# Packets longer than the wire against Linux's own ESP: tunnel and transport mode, both ways. xipsec cuts before ESP in tunnel
# mode, the kernel after it; in transport mode both do. TFC padding of either.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/peer.sh
. tests/lib/uml.sh
need_root
need_tools ip ethtool jq tcpdump

XI_WAN_MTU=1500 XI_SNAPLEN=128
SIZES=0-2,1380-1480,2000,3000,3500
ECHOES=107

net_up wan gw1 h1 || tap_skip_all "cannot make network namespaces"
uml_up
net_addr gw1 lo 10.8.1.1/32 fd08:1::1/128
tap_check "a kernel with ESP" uml_run <<- END
	modprobe -d /run/kernel -a esp4 esp6 xfrm_user authenc seqiv echainiv || exit 1
	ip -batch - <<- LINES
		addr add 10.1.2.2/32 dev lo
		addr add fd00:2::2/128 dev lo nodad
		addr add 10.8.2.1/32 dev lo
		addr add fd08:2::1/128 dev lo nodad
	LINES
END
tap_check "xipsecd starts" start_daemon gw1 || tap_done
net_in gw1 ip route add 10.8.2.0/24 via 192.0.2.2
# as if it had been learned what fits, for IPv6
net_in gw1 ip -6 route replace fd08:2::/64 via 2001:db8::2 mtu 1400
net_in h1 ip -6 route replace default via fd00:1::1 mtu 1400

# transport_lines GW FAMILY
transport_lines() {
	local n=${1#gw} peer=$((3 - ${1#gw})) f=$2 a b out in
	a=10.8.$n.1 b=10.8.$peer.1
	[ "$f" = 4 ] || a=fd08:$n::1 b=fd08:$peer::1
	out=$(tunnel_spi "$n" "$f" "$f") in=$(tunnel_spi "$peer" "$f" "$f")
	sa_lines $a $b "$out" "$(sa_key $((out)))" | sed 's/mode tunnel/mode transport/'
	sa_lines $b $a "$in" "$(sa_key $((in)))" | sed 's/mode tunnel/mode transport/'
	echo "xfrm policy add src $a dst $b dir out tmpl proto esp reqid $((out)) mode transport"
	echo "xfrm policy add src $b dst $a dir in tmpl proto esp reqid $((in)) mode transport"
}
# load COMMAND ARG...: COMMAND gw1 ARG... and COMMAND gw2 ARG... print the lines of either end
load() {
	local command=$1
	shift
	{
		echo "xfrm state flush"
		echo "xfrm policy flush"
		$command gw1 "$@"
	} | load_lines gw1 || return 1
	uml_run <<- END
		ip xfrm state flush && ip xfrm policy flush && ip -batch - <<- LINES
		$($command gw2 "$@")
		LINES
	END
}
wire() {
	tests/net/datagrams.py wire "$XI_TMP/wan-br.pcap" > "$XI_TMP/wire.json"
}
# of_source ADDRESS WHAT
of_source() {
	jq -r ".\"$1\".$2" "$XI_TMP/wire.json"
}

# both_ways NAME WHO NEAR FAR SIZES
both_ways() {
	tap_is "$1: $2 asks" "$(net_in "$2" tests/lib/echoes.py nodf "$5" <<< "it $3 $4" 2>&1)" "it ok"
	tap_is "$1: the kernel asks" "$(uml_run <<< "tests/lib/echoes.py $5 <<< 'it $4 $3'" 2>&1)" "it ok"
}
# sizes NAME WHO NEAR FAR OURS THEIRS
sizes() {
	local name=$1 drops
	drops=$(gw_drops)
	capture_start wan br
	both_ways "${@:1:4}" $SIZES
	capture_stop wan br || tap_not_ok "$name: the capture is complete"
	wire
	tap_is "$name: no drop" "$(gw_drops)" "$drops"
	tap_check "$name: nothing is longer than the wire" test "$(jq '[.[].longest] | max' "$XI_TMP/wire.json")" -le $XI_WAN_MTU
	tap_is "$name: every piece of ours belongs to one packet" "$(of_source "$5" 'wrong | length')" 0
}
tunnel() {
	local outer=$1 inner=$2 name="${SA_AUTH:+AES-CBC, }tunnel, IPv$2 in IPv$1" near=10.1.1.2 far=10.1.2.2
	[ "$inner" = 4 ] || near=fd00:1::2 far=fd00:2::2
	tap_check "$name: set up" load tunnel_lines "$outer" "$inner" || return
	sizes "$name" h1 $near $far "$(outer_addr 1 "$outer")"
	tap_is "$name: we cut before ESP" "$(of_source "$(outer_addr 1 "$outer")" fragments)" 0
	# Linux makes fragments of IPv6 before its tunnel, and of IPv4 after it
	[ "$inner" = 6 ] ||
		tap_check "$name: the kernel cuts after it" test "$(of_source "$(outer_addr 2 "$outer")" cut)" -ge 6
}
transport() {
	local f=$1 name="${SA_AUTH:+AES-CBC, }transport, IPv$1" near=10.8.1.1 far=10.8.2.1
	[ "$f" = 4 ] || near=fd08:1::1 far=fd08:2::1
	tap_check "$name: set up" load transport_lines "$f" || return
	sizes "$name" gw1 $near $far $near
	tap_is "$name: one packet of ESP for each" "$(of_source $near packets)" $((2 * ECHOES))
	tap_check "$name: both cut after ESP" test "$(of_source $near cut)" -ge 6 -a "$(of_source $far cut)" -ge 6
}
for alg in "" "hmac(sha256)"; do
	SA_AUTH=$alg
	for f in 4 6; do
		tunnel $f 4
		tunnel $f 6
		transport $f
	done
done

# TFC padding, RFC 4303 section 2.7: 20 bytes IPv4, 8 of ESP, 8 of IV, payload, padding and two bytes, 16 of ICV
SA_AUTH=
tfc_lines() {
	tunnel_lines "$1" 4 4 tfcpad "$2"
}
tfc() {
	tap_check "tfcpad $1: set up" load tfc_lines "$1" || return
	capture_start wan br
	both_ways "tfcpad $1" h1 10.1.1.2 10.1.2.2 0-30,100,500,700
	capture_stop wan br
	wire
	tap_is "tfcpad $1: our packets have one length" "$(of_source 192.0.2.1 'lengths | @csv')" "$2"
	tap_is "tfcpad $1: and so have the kernel's" "$(of_source 192.0.2.2 'lengths | @csv')" "$2"
}
tfc 800 $((20 + 8 + 8 + (800 + 2 + 3) / 4 * 4 + 16))
tfc 4000 $XI_WAN_MTU
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
