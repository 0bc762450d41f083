#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Reauthentication every few seconds under traffic, make before break: an IKE SA beside the old one, and children beside
# its children, of the same policies. Nothing leaves in clear, and nothing is lost: what arrives at an SA that charon has
# allocated and not installed yet waits for it.
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
ike_gateways "make_before_break = yes"
connections() {
	ike_load_pair <<- END
		by1 : psk { reauth_time = 3s
		            over_time = 60s
		            rand_time = 0s }
		by2 : psk { rekey_time = 0 }
		connections { again : wan, by%n {
		  local { id = again%n }
		  remote { id = again%p }
		  children { net : nets { }
		             net6 : nets6 { } } } }
	END
}
again() { [ "$(grep -c 'IKE_SA again\[.*established' "$XI_TMP/gw1.charon")" -ge "$1" ]; }
tap_check "connections" connections || tap_done
tap_check "a tunnel" ike_up gw1 net || tap_done
tap_check "another child" ike_up gw1 net6
XI_SNAPLEN=80 capture_start wan br
tap_check "datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2 h1:fd00:1::2=h2:fd00:2::2
tap_check "three times again" wait_for 30 again 4
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 4 "$XI_TMP/flow.log")"
tap_is "no datagram is lost, and none arrives twice" "$(tail -n 4 "$XI_TMP/flow.log" | jq -c '[.lost, .twice]' | sort -u)" "[0,0]"
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_done
