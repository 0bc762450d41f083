#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 6: nothing of a packet is forwarded, and no replay state moves, before its ICV is verified.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool tcpdump jq
/usr/bin/python3 -c 'import scapy, cryptography' 2> /dev/null ||
	tap_skip_all "python3-scapy is not installed; run make deps"
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/peer.sh

tap_check "gw1, h1 and an independent peer" peer_up || tap_done
tap_check "xipsecd starts" start_daemon gw1 || tap_done
peer_tunnel 4 4 replay-window 64

replay_state() {
	gwctl gw1 xipsec xfrm state get dst 192.0.2.1 proto esp spi $((SA_BASE + 2)) | grep -A 4 anti-replay
}
capture_start h1 lan0 icmp
tap_is "a good packet" "$(peer_send 4 4 ok)" 1
before=$(replay_state)
forged=$(gw_reason icv_bad)
# the forged ones are far ahead: would they move the window, the good ones after them would be too old
tap_is "forged packets far ahead in sequence: ICV, ciphertext, sequence number" \
	"$(peer_send 4 4 tampered,tampered-data,tampered-seq --seq 5000)" 000
tap_is "each is counted as a bad ICV" "$(($(gw_reason icv_bad) - forged))" 3
tap_is "the replay window has not moved" "$(replay_state)" "$before"
tap_is "good packets with the next sequence numbers are still accepted" "$(peer_send 4 4 ok,ok --seq 1)" 11
replays=$(gw_reason replay)
tap_is "a replayed packet is not" "$(peer_send 4 4 ok,replayed --seq 3)" 10
tap_is "and is counted" "$(($(gw_reason replay) - replays))" 1
old=$(gw_reason replay_old)
tap_is "nor is one left of the window" "$(peer_send 4 4 skip:200,ok,old:64,old:63 --seq 4)" 0100
tap_is "and is counted" "$(($(gw_reason replay_old) - old))" 1
capture_stop h1 lan0
tap_is "h1 saw the good packets and no other" \
	"$(pcap_count "$XI_TMP/h1-lan0.pcap" 'icmp[0] = 8 and dst host 10.1.1.2')" 6
tap_done
