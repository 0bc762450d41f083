#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# xipsecd ends by kill -9 and comes again in mid-traffic, and charon does not notice; charon ends and comes again, and
# nothing leaves in clear. No number of an SA is used twice.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump
RATE=500

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
connections() {
	ike_load_pair <<- END
		connections {
		  main : wan, psk {
		    local { id = main%n }
		    remote { id = main%p }
		    children {
		      net : nets { rekey_time = 0
		                   life_time = 0 } } } }
	END
}
tap_check "connections" connections || tap_done
tap_check "a tunnel" ike_up gw1 net || tap_done
XI_SNAPLEN=80 capture_start wan br

count() { ike_count "$1" net packets-out; }
counts_past() { [ "$(count "$1")" -gt "$2" ]; }
again() { kill_daemon "$1" && start_daemon "$1"; }
rekey() { swan "$1" --rekey --child net && wait_for 10 ike_is gw1 1 '.name == "net" and .state == "INSTALLED"'; }
# what was lost is no more than what was sent while two daemons started, and nothing came twice
no_more_than() {
	tail -n 2 "$XI_TMP/$1.log" | jq -es --argjson n "$2" 'all(.twice == 0 and .lost < $n and .received > 100)'
}

tap_check "datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
wait_for 10 counts_past gw1 300
before1=$(count gw1) before2=$(count gw2)
charon=${xi_pids["bg charon-gw1"]}
tap_check "kill -9 of xipsecd in gw1, and start" again gw1
tap_check "kill -9 of xipsecd in gw2, and start" again gw2
tap_check "gw1's counters go on, as charon sees them" wait_for 10 counts_past gw1 $((before1 + 500))
tap_check "gw2's, too" wait_for 10 counts_past gw2 $((before2 + 500))
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
tap_check "what was lost was lost while nobody was there" no_more_than flow $((RATE * 3 * ${XIPSEC_SLOW:-1}))

tap_check "then datagrams go on" flow_start flow2 $RATE h1:10.1.1.2=h2:10.1.2.2
tap_check "charon of gw1, the same, rekeys" rekey gw1
tap_check "charon of gw2 rekeys" rekey gw2
tap_is "it is the same charon" "${xi_pids["bg charon-gw1"]} $(process_gone "$charon" && echo gone)" "$charon "
tap_check "and none is lost" flow_end flow2

# charon asks while there is no daemon
tap_check "kill -9 of xipsecd in gw1" kill_daemon gw1
tap_check "charon answers all the same" timeout 10 swanctl --list-sas --uri "unix://$XI_TMP/gw1.vici"
rekeyed_not() { ! timeout 20 swanctl --rekey --child net --uri "unix://$XI_TMP/gw1.vici" > /dev/null || :; }
rekeyed_not
tap_check "xipsecd starts" start_daemon gw1
recovers() { ike_down gw1 main; wait_for 10 ike_up gw1 net && carries net 20 h1 10.1.2.2; }
tap_check "charon establishes the tunnel anew" recovers

# charon is killed: its SAs and policies stay, and carry traffic; its successor takes over
tap_check "kill -9 of charon in gw1" ike_kill gw1
pings() { net_in h1 ping -q -c 20 -i 0.005 -W 2 10.1.2.2 | grep ' 0% packet loss'; }
tap_check "traffic goes on without it" pings
tap_check "charon starts" ike_start gw1
tap_check "its connections" connections
tap_check "it establishes the tunnel" ike_up gw1 net
tap_check "which carries" carries net 20 h1 10.1.2.2
tap_check "charon of gw2 has one" wait_for 10 ike_is gw2 1 '.name == "net"'

# charon ends: its policies go, and what an administrator put below them stands
block() { gwip "$1" ip xfrm policy add src 10.1.0.0/16 dst 10.1.0.0/16 dir "$2" action block priority 4000000; }
for gw in gw1 gw2; do
	tap_check "a policy to block in $gw, out" block $gw out
	tap_check "and fwd" block $gw fwd
done
tap_check "datagrams both ways" flow_start flow3 $RATE h1:10.1.1.2=h2:10.1.2.2
tap_check "charon of gw1 ends" ike_stop gw1
tap_check "its SAs are gone" wait_for 10 ike_is gw2 0 true
tap_check "charon starts" ike_start gw1
tap_check "its connections" connections
tap_check "it establishes the tunnel" ike_up gw1 net
tap_check "which carries" wait_for 10 counts_past gw1 100
flow_end flow3 > "$XI_TMP/flow3.end"
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_comment "$(esp_unique "$XI_TMP/wan-br.pcap")"
tap_done
