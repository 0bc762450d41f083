#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Who may have a tunnel: pre-shared keys and certificates that are right, and such as are not, after which nothing is
# installed and nothing passes.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
certificates() {
	ike_ca && ike_cert gw1 && ike_cert gw2
}
# another CA of the same name, which nobody trusts
another_ca() {
	mkdir -p "$XI_TMP/mine" && cp "$XI_TMP/ca.key" "$XI_TMP/ca.pem" "$XI_TMP/mine/" && ike_ca && ike_cert gw1 &&
		cp "$XI_TMP/mine/ca.pem" "$XI_TMP/gw1.swanctl/x509ca/"
}
# connections [PSK-OF-GW1]
connections() {
	local n
	for n in 1 2; do
		sed "s/@secret/$([ $n = 1 ] && echo "${1:-right}" || echo right)/" <<- END | ike_load gw$n $n $((3 - n)) || return 1
			connections {
			  shared : wan, psk {
			    local { id = shared%n }
			    remote { id = shared%p }
			    children { net : nets { start_action = trap } } }
			  certified : wan6, cert {
			    children { net6 : nets6 { start_action = trap } } } }
			secrets { ike-shared { id-1 = shared1
			                       id-2 = shared2
			                       secret = "@secret" } }
		END
	done
}
refused() {
	! ike_up gw1 "$1" > "$XI_TMP/refused" && grep -q "$2" "$XI_TMP/refused" && return 0
	cat "$XI_TMP/refused"
	return 1
}
# policies of traps stand, without SAs
nothing_installed() {
	[ "$(ike_children gw1 true) $(ike_children gw2 true)" = "0 0" ] && wait_for 5 sas_are gw1 0 && wait_for 5 sas_are gw2 0
}
no_ping() { net_in h1 ping -q -c 2 -i 0.01 -W 0.5 "$1" | grep '100% packet loss'; }

tap_check "keys and certificates" certificates
tap_check "connections" connections || tap_done
capture_start wan br
tap_check "a pre-shared key" ike_up gw1 net
tap_check "carries" carries net 20 h1 10.1.2.2
tap_check "certificates (ECDSA)" ike_up gw1 net6
tap_check "carry" carries net6 20 h1 fd00:2::2
for c in shared certified; do
	tap_check "$c goes down" ike_down gw1 $c
done

tap_check "another key at one end" connections wrong
tap_check "is refused" refused net AUTH_FAILED
tap_check "a certificate of another CA" another_ca
swan gw1 --load-creds --clear > "$XI_TMP/creds"
tap_check "is refused" refused net6 AUTH_FAILED
tap_check "nothing is installed" nothing_installed
tap_check "no ping by IPv4: the trap holds it" no_ping 10.1.2.2
tap_check "no ping by IPv6" no_ping fd00:2::2
capture_stop wan br > "$XI_TMP/capture"
tap_is "no ping was on the wire in clear" \
	"$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp or (icmp6 and ip6[40] >= 128 and ip6[40] <= 129)')" 0
tap_done
