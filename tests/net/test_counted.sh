#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 9: every packet that is dropped adds one to exactly one reason.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool jq ping
/usr/bin/python3 -c 'import scapy, cryptography' 2> /dev/null ||
	tap_skip_all "python3-scapy is not installed; run make deps"
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/peer.sh

tap_check "gw1, h1 and an independent peer" peer_up || tap_done
tap_check "xipsecd starts" start_daemon gw1 || tap_done
peer_tunnel 4 4 replay-window 64

# one_drop REASON NAME CMD...: CMD makes gw1 drop one packet, which adds one to REASON and nothing to another drop
one_drop() {
	local reason=$1 name=$2 before all
	shift 2
	before=$(gw_reason "$reason")
	all=$(gw_drops)
	"$@" > /dev/null
	wait_for 2 test_more "$reason" "$before"
	tap_is "$name: one more $reason, one more in all" \
		"$(($(gw_reason "$reason") - before)) $(($(gw_drops) - all))" "1 1"
}
test_more() {
	[ "$(gw_reason "$1")" -gt "$2" ]
}
seq=100
peer_one() {
	seq=$((seq + 10))
	peer_send 4 4 "$1" --seq $seq
}
one_drop icv_bad "bad ICV" peer_one tampered
one_drop unknown_spi "unknown SPI" peer_one unknown-spi
one_drop esp_short "cut short" peer_one short
one_drop in_policy "inner address that no policy allows" peer_one foreign
peer_one ok > /dev/null
one_drop replay "replayed" peer_send 4 4 old:1 --seq $((seq + 2))
one_drop replay_old "too old" peer_send 4 4 ok --seq 1
drops=$(gw_drops)
dummies=$(gw_reason dummy)
peer_one dummy > /dev/null
tap_is "a dummy packet is swallowed, and is no drop" "$(($(gw_reason dummy) - dummies)) $(($(gw_drops) - drops))" "1 0"
one_drop no_sa "policy without an SA" eval 'gwctl gw1 xipsec xfrm state flush
	net_in h1 ping -q -c 1 -W 1 10.1.2.2'
gwctl gw1 xipsec xfrm policy update src 10.1.1.0/24 dst 10.1.2.0/24 dir out action block
one_drop worker_discard "policy says discard, first packet" net_in h1 ping -q -c 1 -W 1 10.1.2.2
one_drop policy_discard "policy says discard, second packet" net_in h1 ping -q -c 1 -W 1 10.1.2.2
tap_done
