# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# What becomes of SAs, whatever the IKE daemons of gw1 and gw2 and the ESP of gw2 are: one tunnel between 10.1.1.0/24 and
# 10.1.2.0/24, and all that a peer must bear. Source tap.sh, netns.sh, ike.sh and ike_peer.sh first, and libreswan.sh for pluto.
#
#   life_pluto=gw1 gw2        set before: these have pluto, others charon, started with ${life_lines[@]}
#   life_load PLAN [GW...]    connections in both or in GW, in the place of what was there. PLAN: plain; traps; rekeying (gw1's
#                             charon IPv4, gw2's IPv6); dead (gw1 sees that its peer died, and makes the tunnel again);
#                             gw1, gw2 (whose SAs expire after two seconds)
#   life_up GW; life_down GW; life_start, life_stop, life_kill GW     a verb of its daemon
#   life_traps; life_rekeying; life_expiry GW; life_dead LINK; life_xipsecd GW...; life_ends GW; life_dies GW: the tests
#
# A test whose gw2 is no xipsecd has its own sa_counts, none_left, and the verbs that differ.

. tests/lib/hops.sh
RATE=${RATE:-200}
life_pluto=${life_pluto:-}
# a peer is given up after 3 seconds
life_lines=("retransmit_timeout = 1" "retransmit_base = 1" "retransmit_tries = 2" "delete_rekeyed_delay = 2")

life_is_pluto() { [[ " $life_pluto " == *" $1 "* ]]; }

# life_child PLAN GW: lines of charon's child
life_child() {
	case $1:$2 in
	traps:*) echo "start_action = trap" ;;
	rekeying:gw1) printf '%s\n' "rekey_time = 2s" "life_time = 30s" ;;
	gw1:gw1 | gw2:gw2) printf '%s\n' "rekey_time = 0s" "life_time = 2s" ;;
	dead:gw1) echo "dpd_action = restart" ;;
	dead:gw2) echo "dpd_action = clear" ;;
	esac
}

# life_charon PLAN GW
life_charon() {
	local other=gw$((3 - ${2#gw}))
	ike_load "$2" "${2#gw}" "${other#gw}" <<- END
		connections {
		  main : wan, psk {
		    proposals = aes128-sha256-x25519, aes256gcm16-prfsha512-modp2048
		    $([ "$1" != dead ] || echo "dpd_delay = 1s")
		    $([ "$life_pluto" ] || printf '%s\n' "local { id = main%n }" "remote { id = main%p }")
		    children {
		      net : nets { rand_time = 0s
		                   esp_proposals = ${life_esp:-aes128gcm16-esn}
		                   $(life_child "$1" "$2") }
		      net6 : nets6 { rand_time = 0s
		                     esp_proposals = ${life_esp:-aes128gcm16-esn}
		                     $(life_child "$1" "$other") } } } }
	END
}

# of the connection t of pluto
life_whack() {
	local plan=$1 gw=$2
	lsw_load "$gw" "${gw#gw}" $((3 - ${gw#gw})) t <<- END
		leftsubnet=10.1.%n.0/24
		rightsubnet=10.1.%p.0/24
		esp=aes_gcm128
		esn=yes
		pfs=no
		$(case $plan:$gw in
		dead:gw1) printf '%s\n' retransmit-timeout=2s retransmit-interval=500 dpddelay=1s dpdtimeout=3s dpdaction=restart ;;
		gw1:gw1 | gw2:gw2) printf '%s\n' ipsec-max-packets=300 rekey=no ;;
		esac)
	END
}

life_load() {
	local gw plan=$1
	shift
	[ $# != 0 ] || set -- gw1 gw2
	for gw; do
		if life_is_pluto "$gw"; then life_whack "$plan" "$gw"; else life_charon "$plan" "$gw"; fi || return
	done
}

life_up() { if life_is_pluto "$1"; then lsw_up "$1" t; else ike_up "$1" net; fi; }
life_down() { if life_is_pluto "$1"; then lsw_unload "$1" t; else ike_down "$1" main; fi; }
life_start() { if life_is_pluto "$1"; then lsw_start "$1"; else ike_start "$1" "${life_lines[@]}"; fi; }
life_stop() { if life_is_pluto "$1"; then lsw_stop "$1"; else ike_stop "$1"; fi; }
life_kill() { if life_is_pluto "$1"; then lsw_kill "$1"; else ike_kill "$1"; fi; }
life_log() { if life_is_pluto "$1"; then lsw_log "$1"; else ike_in "$1" cat "$XI_TMP/$1.charon"; fi; }
life_log_count() { life_log "$1" | grep -cE -- "$2"; }
life_logged() { [ "$(life_log_count "$1" "$3")" -ge "$2" ]; }
life_rekey() {
	if life_is_pluto "$1"; then
		lsw_whack "$1" --rekey-ipsec --name t
	else
		swan "$1" --rekey --child net && wait_for 15 ike_is "$1" 1 '.name == "net" and .state == "INSTALLED"'
	fi
}

# the inbound SPI of gw1's newest SA
life_spi() {
	if life_is_pluto gw1; then
		lsw_whack gw1 --trafficstatus | sed -n 's/.*#\([0-9]*\).*/\1/p' | tail -n 1
	else
		ike_sas gw1 | jq -r '.[].children[] | select(.name == "net" and .state == "INSTALLED")["spi-in"]'
	fi
}

life_over() {
	tap_check "$1: it is taken down" life_down gw1
	tap_check "$1: at both ends" eval 'wait_for 15 none_left || none_left'
}

# life_plain NAME: a tunnel as any, begun by gw1
life_plain() {
	tap_check "$1: connections" life_load plain
	tap_check "$1: a tunnel" life_up gw1
}

life_traps() {
	local trap_pings="ping -q -c 20 -i 0.02 -W 10"
	tap_check "traps: connections" life_load traps
	tap_check "traps: a policy stands in gw1" wait_for 10 life_trapped gw1
	tap_check "traps: no SA yet" none_left
	# shellcheck disable=SC2086
	tap_check "traps: a ping makes gw1's charon negotiate, and none is lost" net_in h1 $trap_pings 10.1.2.2
	tap_check "traps: it carries" both_carry 20 h1 10.1.2.2
	life_over traps
}
life_trapped() { [ "$(xfrm_of "$1" xfrm policy list dir out | grep -c '^src 10')" = 1 ]; }

# life_flow PAIR...: datagrams of which none may be lost, until life_flowed, which says what was counted when one was; no more
# than $life_window of a direction under way at once
life_flow() {
	hops_note
	FLOW_WINDOW=${life_window:-inf} flow_start flow "$RATE" "$@"
}
life_flowed() {
	flow_end flow && return 0
	hops_changed
	return 1
}

life_rekeying() {
	local rekeyed='outbound CHILD_SA .* established'
	tap_check "rekeying: connections" life_load rekeying
	tap_check "rekeying: a tunnel" life_up gw1
	tap_check "rekeying: one of IPv6" ike_up gw1 net6
	tap_check "rekeying: datagrams both ways, IPv4 and IPv6" life_flow h1:10.1.1.2=h2:10.1.2.2 h1:fd00:1::2=h2:fd00:2::2
	tap_check "rekeying: charon does it every two seconds" wait_for 40 life_logged gw1 $(($(life_log_count gw1 "$rekeyed") + 4)) "$rekeyed"
	tap_check "rekeying: each end its own" wait_for 10 life_rekeyed_both
	swan gw1 --rekey --ike main > "$XI_TMP/rekey-ike"
	tap_check "rekeying: the IKE SA, too" wait_for 10 life_logged gw1 1 'IKE_SA main\[.*rekeyed between'
	tap_check "rekeying: every datagram arrived, once" life_flowed
	tap_comment "$(tail -n 4 "$XI_TMP/flow.log")"
	life_over rekeying
}
life_rekeyed_both() {
	life_logged gw1 2 'creating rekey job for CHILD_SA' && life_logged gw2 2 'creating rekey job for CHILD_SA'
}

life_carried() { wait_for 10 both_carry 20 h1 10.1.2.2; }

# life_expiry GW: hard expiry of GW's SAs
life_expiry() {
	local gw=$1 expired='scheduling CHILD_SA recreate after hard expire'
	! life_is_pluto "$gw" || expired='initiator established Child SA'
	tap_check "expiry in $gw: connections" life_load "$gw"
	tap_check "expiry in $gw: a tunnel" life_up "$gw"
	FLOW_WAIT=1 flow_start flow "$RATE" h1:10.1.1.2=h2:10.1.2.2
	tap_check "expiry in $gw: twice" wait_for 40 life_logged "$gw" $(($(life_log_count "$gw" "$expired") + 2)) "$expired"
	! life_is_pluto "$gw" || tap_check "expiry in $gw: pluto was told of it" life_logged "$gw" 2 'received hard EXPIRE for outbound SPI'
	flow_end flow > "$XI_TMP/flow.end"
	tap_check "expiry in $gw: and made anew" sh -c "tail -n 2 $XI_TMP/flow.log | jq -es 'all(.twice == 0 and .received > $RATE)'"
	tap_check "expiry in $gw: connections" life_load plain
	# pluto deletes what it has when it loads, and charon keeps it
	if [ "$life_pluto" ]; then life_up gw1; else life_rekey "$gw"; fi > "$XI_TMP/rekey"
	tap_check "expiry in $gw: it carries" wait_for 20 life_carried
	life_over "expiry in $gw"
}

# life_dead LINK: of wan to gw2. gw1 makes the tunnel again
life_dead() {
	local before given_up='giving up after 2 retransmits'
	! life_is_pluto gw1 || given_up='liveness action'
	tap_check "a peer that dies: connections" life_load dead
	tap_check "a peer that dies: a tunnel" life_up gw1
	tap_check "a peer that dies: it carries" both_carry 20 h1 10.1.2.2
	before=$(life_spi)
	net_in wan ip link set "$1" down
	[ -n "$life_pluto" ] || tap_check "a peer that dies: gw2's SAs go" wait_for 20 life_none_of gw2
	tap_check "a peer that dies: gw1 sees it" wait_for 20 life_logged gw1 1 "$given_up"
	net_in wan ip link set "$1" up
	tap_check "a peer that dies: it comes back, to another tunnel" wait_for 30 life_another "$before"
	tap_check "a peer that dies: it carries" wait_for 10 both_carry 20 h1 10.1.2.2
	tap_check "a peer that dies: connections" life_load plain
	life_over "a peer that dies"
}
life_none_of() { ! xfrm_of "$1" xfrm state | those_with_keys | grep -q '^src'; }
life_another() {
	local now
	now=$(life_spi) && [ -n "$now" ] && [ "$now" != "$1" ]
}

# life_xipsecd GW...: is killed in mid-traffic and starts again in each
life_xipsecd() {
	local gw past
	life_plain xipsecd
	tap_check "xipsecd: datagrams both ways" flow_start flow "$RATE" h1:10.1.1.2=h2:10.1.2.2
	tap_check "xipsecd: they are counted" wait_for 10 both_counted 200
	for gw; do
		tap_check "xipsecd: kill -9 in $gw, and start" life_again "$gw"
	done
	past=$(both_counts | sort -n | tail -n 1)
	tap_check "xipsecd: the counters of both ends go on" wait_for 15 both_counted $((past + RATE / 2))
	flow_end flow > "$XI_TMP/flow.end"
	tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
	tap_check "xipsecd: what was lost was lost while nobody was there" sh -c \
		"tail -n 2 $XI_TMP/flow.log | jq -es 'all(.twice == 0 and .lost < $((RATE * 3)) and .received > $((RATE / 2)))'"
	tap_check "xipsecd: datagrams both ways" life_flow h1:10.1.1.2=h2:10.1.2.2
	tap_check "xipsecd: the IKE daemon of gw1, the same, rekeys" life_rekey gw1
	[ -n "$life_pluto" ] || tap_check "xipsecd: and that of gw2" life_rekey gw2
	tap_check "xipsecd: none of them was lost" life_flowed
	tap_check "xipsecd: it carries" wait_for 20 life_carried
}
life_again() { kill_daemon "$1" && start_daemon "$1"; }

# life_ends GW: the IKE daemon of GW ends, where there is a tunnel, and comes again; life_dies GW: it is killed
life_ends() {
	tap_check "the IKE daemon of $1 ends" life_stop "$1"
	tap_check "$1: it has told the other" wait_for 15 life_none_of "gw$((3 - ${1#gw}))"
	life_returns "$1"
}
life_dies() {
	tap_check "the IKE daemon of $1 is killed" life_kill "$1"
	tap_check "$1: traffic goes on without it" both_carry 20 h1 10.1.2.2
	life_returns "$1"
}
# life_returns GW
life_returns() {
	tap_check "the IKE daemon of $1 starts" life_start "$1"
	tap_check "$1: its connections" life_load plain "$1"
	tap_check "$1: it establishes the tunnel" life_up "$1"
	tap_check "$1: which carries" life_carried
}
