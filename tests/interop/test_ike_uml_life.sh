#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 300
#
# What becomes of SAs between xipsec and Linux's own ESP, with strongSwan at both ends: traps, rekeying under traffic, hard
# expiry, a peer that dies, an IKE daemon that restarts, xipsecd killed in mid-traffic and started again.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/ike_uml.sh
. tests/lib/ike_life.sh
need_root
need_ike
need_tools tcpdump

ike_uml_up "${life_lines[@]}"
XI_SNAPLEN=80 capture_start wan br
life_traps
# Linux drops what comes before the SA
up() { ike_is gw1 1 '.name == "net" and .state == "INSTALLED"'; }
springs() {
	net_in h2 ping -q -c 5 -i 0.1 -W 1 10.1.1.2
	wait_for 20 up
}
tap_check "traps: a policy stands in gw2" wait_for 10 life_trapped gw2
tap_check "traps: a ping makes the kernel's charon negotiate" springs
tap_check "traps: it carries" both_carry 20 h2 10.1.1.2
tap_check "traps: it is taken down" life_down gw2
tap_check "traps: at both ends" wait_for 10 none_left

life_rekeying
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"

# What comes while the host runs somebody else waits, as it would in a peer's network card: this is what any loss is blamed by.
stands_still() {
	local sent stood=
	hops_note
	flow_start still 1000 h1:10.1.1.2=h2:10.1.2.2 || return
	uml_signal STOP && sent=$(sa_counts gw1 | tail -n 1) && wait_for 10 has_sent $((sent + 600)) && stood=1
	uml_signal CONT
	flow_end still || { hops_changed; return 1; }
	[ -n "$stood" ] || { echo "it did not stand still while 600 came"; return 1; }
}
has_sent() { [ "$(sa_counts gw1 | tail -n 1)" -ge "$1" ]; }
life_plain "standing still"
tap_check "standing still: a kernel that gets no CPU for a while loses no datagram" stands_still
life_over "standing still"

# first of xipsec's SAs, then of the kernel's
life_expiry gw1
life_expiry gw2
life_dead uml

XI_SNAPLEN=80 capture_start wan br
life_xipsecd gw1
life_ends gw1
life_dies gw1
capture_stop wan br > "$XI_TMP/capture"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_done
