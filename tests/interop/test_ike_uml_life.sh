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
need_root
need_ike
need_tools tcpdump
RATE=200

# a peer is given up after 3 seconds
ike_uml_up "retransmit_timeout = 1" "retransmit_base = 1" "retransmit_tries = 2"
# connections GW1'S-LINES GW2'S-LINES: of the child "net"; "net6" beside it
connections() {
	local gw
	for gw in gw1 gw2; do
		ike_load $gw ${gw#gw} $((3 - ${gw#gw})) <<- END || return
			connections {
			  main : wan, psk {
			    $([ $gw = gw1 ] && echo "$dpd1" || echo "$dpd2")
			    local { id = main%n }
			    remote { id = main%p }
			    children {
			      net : nets { rand_time = 0s
			                   $([ $gw = gw1 ] && echo "$1" || echo "$2") }
			      net6 : nets6 { rand_time = 0s
			                     $([ $gw = gw1 ] && echo "$2" || echo "$1") } } } }
		END
	done
}
dpd1='' dpd2=''
trapped() { [ "$(xfrm_of "$1" xfrm policy list dir out | grep -c '^src 10')" = 1 ]; }
XI_SNAPLEN=80 capture_start wan br

# traps
tap_check "traps: connections" connections "start_action = trap" "start_action = trap"
for gw in gw1 gw2; do
	tap_check "traps: a policy stands in $gw" wait_for 10 trapped $gw
done
tap_check "traps: no SA yet" none_left
trap_pings() { net_in "$1" ping -q -c 20 -i 0.02 -W 10 "$2" | grep ' 0% packet loss'; }
tap_check "traps: a ping makes gw1's charon negotiate, and none is lost" trap_pings h1 10.1.2.2
tap_check "traps: it carries" both_carry 20 h1 10.1.2.2
tap_check "traps: it is taken down" ike_down gw1 main
tap_check "traps: at both ends" wait_for 10 none_left
# Linux drops what comes before the SA
up() { ike_is gw1 1 '.name == "net" and .state == "INSTALLED"'; }
springs() {
	net_in h2 ping -q -c 5 -i 0.1 -W 1 10.1.1.2
	wait_for 20 up
}
tap_check "traps: a ping makes the kernel's charon negotiate" springs
tap_check "traps: it carries" both_carry 20 h2 10.1.1.2
tap_check "traps: it is taken down" ike_down gw2 main
tap_check "traps: at both ends" wait_for 10 none_left

# gw1 rekeys IPv4, gw2 IPv6
tap_check "rekeying: connections" connections "rekey_time = 2s
	life_time = 30s" ""
tap_check "rekeying: a tunnel" ike_up gw1 net
tap_check "rekeying: one of IPv6" ike_up gw1 net6
REKEYED='outbound CHILD_SA .* established'
tap_check "rekeying: datagrams both ways, IPv4 and IPv6" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2 h1:fd00:1::2=h2:fd00:2::2
tap_check "rekeying: charon does it, again and again" wait_for 40 ike_logged gw1 $(($(ike_log_count gw1 "$REKEYED") + 6)) "$REKEYED"
tap_check "rekeying: each end its own" sh -c '[ "$1" -ge 2 ] && [ "$2" -ge 2 ]' sh \
	"$(ike_log_count gw1 'creating rekey job for CHILD_SA')" "$(ike_log_count gw2 'creating rekey job for CHILD_SA')"
swan gw1 --rekey --ike main > "$XI_TMP/rekey-ike"
tap_check "rekeying: the IKE SA, too" wait_for 10 ike_logged gw1 1 'IKE_SA main\[.*rekeyed between'
tap_check "rekeying: every datagram arrived, once" flow_end flow
tap_comment "$(tail -n 4 "$XI_TMP/flow.log")"
tap_check "rekeying: it is taken down" ike_down gw1 main
tap_check "rekeying: at both ends" wait_for 15 none_left
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"

# hard expiry: first of xipsec's SAs, then of the kernel's
EXPIRED='scheduling CHILD_SA recreate after hard expire'
export FLOW_WAIT=1
for gw in gw1 gw2; do
	life="rekey_time = 0s
		life_time = 2s"
	tap_check "expiry in $gw: connections" connections "$([ $gw = gw1 ] && echo "$life")" "$([ $gw = gw2 ] && echo "$life")"
	tap_check "expiry in $gw: a tunnel" ike_up $gw net
	flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
	tap_check "expiry in $gw: twice" wait_for 20 ike_logged $gw $(($(ike_log_count $gw "$EXPIRED") + 2)) "$EXPIRED"
	flow_end flow > "$XI_TMP/flow.end"
	tap_check "expiry in $gw: and made anew" sh -c "tail -n 2 $XI_TMP/flow.log | jq -es 'all(.twice == 0 and .received > $RATE)'"
	tap_check "expiry in $gw: connections" connections "" ""
	swan $gw --rekey --child net > "$XI_TMP/rekey"
	carried() { wait_for 10 up && both_carry 20 h1 10.1.2.2; }
	tap_check "expiry in $gw: it carries" wait_for 20 carried
	tap_check "expiry in $gw: it is taken down" ike_down gw1 main
	tap_check "expiry in $gw: at both ends" wait_for 15 none_left
done

# a peer that dies: gw1 makes the tunnel again
dpd1='dpd_delay = 1s' dpd2='dpd_delay = 1s'
tap_check "a peer that dies: connections" connections "dpd_action = restart" "dpd_action = clear"
tap_check "a peer that dies: a tunnel" ike_up gw1 net
tap_check "a peer that dies: it carries" both_carry 20 h1 10.1.2.2
spi() { ike_sas gw1 | jq -r '.[].children[] | select(.name == "net" and .state == "INSTALLED")["spi-in"]'; }
old=$(spi)
net_in wan ip link set uml down
none_of() { ! xfrm_of "$1" xfrm state | grep -q '^src'; }
tap_check "a peer that dies: the kernel's SAs go" wait_for 20 none_of gw2
tap_check "a peer that dies: gw1's charon sees it" wait_for 20 ike_logged gw1 1 'giving up after 2 retransmits'
net_in wan ip link set uml up
another() { local now; now=$(spi) && [ -n "$now" ] && [ "$now" != "$old" ]; }
tap_check "a peer that dies: it comes back, to another tunnel" wait_for 30 another
tap_check "a peer that dies: it carries" wait_for 10 both_carry 20 h1 10.1.2.2
dpd1='' dpd2=''
tap_check "connections" connections "" ""
tap_check "it is taken down" ike_down gw1 main
tap_check "at both ends" wait_for 15 none_left

# xipsecd is killed in mid-traffic
XI_SNAPLEN=80 capture_start wan br
again() { kill_daemon gw1 && start_daemon gw1; }
tap_check "xipsecd: a tunnel" ike_up gw1 net
tap_check "xipsecd: datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
tap_check "xipsecd: they are counted" wait_for 10 both_counted 200
tap_check "xipsecd: kill -9, and start" again
past=$(both_counts | sort -n | tail -n 1)
tap_check "xipsecd: the counters of both ends go on" wait_for 15 both_counted $((past + RATE))
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
tap_check "xipsecd: what was lost was lost while nobody was there" sh -c \
	"tail -n 2 $XI_TMP/flow.log | jq -es 'all(.twice == 0 and .lost < $((RATE * 3)) and .received > $((RATE / 2)))'"
tap_check "xipsecd: datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
rekey() { swan "$1" --rekey --child net && wait_for 15 up; }
tap_check "xipsecd: the same charon rekeys" rekey gw1
tap_check "xipsecd: the kernel's charon rekeys" rekey gw2
tap_check "xipsecd: none of them was lost" flow_end flow
tap_check "xipsecd: it carries" both_carry 20 h1 10.1.2.2

# charon of gw1
tap_check "charon is killed" ike_kill gw1
tap_check "traffic goes on without it" both_carry 20 h1 10.1.2.2
tap_check "charon starts" ike_start gw1
tap_check "its connections" connections "" ""
tap_check "it establishes the tunnel" ike_up gw1 net
tap_check "which carries" carries net 20 h1 10.1.2.2
tap_check "charon ends" ike_stop gw1
tap_check "it has told the kernel's charon" wait_for 15 none_of gw2
tap_check "charon starts" ike_start gw1
tap_check "its connections" connections "" ""
tap_check "it establishes the tunnel" ike_up gw1 net
tap_check "which carries" carries net 20 h1 10.1.2.2
capture_stop wan br > "$XI_TMP/capture"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_done
