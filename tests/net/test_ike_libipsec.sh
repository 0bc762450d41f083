#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Against another implementation of ESP: gw2 has no xipsecd but strongSwan's kernel-libipsec, which does ESP in UDP, in
# user space, over a TUN device. It knows no ESN and no transport mode.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump
[ -e /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so ] || tap_skip_all "kernel-libipsec (libcharon-extra-plugins) is not installed"
[ -c /dev/net/tun ] || tap_skip_all "no /dev/net/tun"
RATE=200

net_up || tap_skip_all "cannot make network namespaces"
tap_check "xipsecd in gw1" start_daemon gw1 || tap_done
tap_check "charon in gw1" ike_start gw1 || tap_done
libipsec() { IKE_KERNEL=libipsec IKE_ROUTES=yes ike_start gw2; }
tap_check "charon with kernel-libipsec in gw2" libipsec || tap_done
connections() {
	ike_load_pair <<- END
		connections {
		  gcm : wan, psk {
		    local { id = gcm%n }
		    remote { id = gcm%p }
		    children { gcm128 : nets { esp_proposals = aes128gcm16 } } }
		  gcm256 : wan, psk {
		    local { id = gcm256%n }
		    remote { id = gcm256%p }
		    children { gcm256 : nets { esp_proposals = aes256gcm16 } } }
		  cbc : wan, psk {
		    local { id = cbc%n }
		    remote { id = cbc%p }
		    children { cbc : nets { esp_proposals = aes256-sha256 } } }
		  chapoly : wan, psk {
		    local { id = chapoly%n }
		    remote { id = chapoly%p }
		    children { chapoly : nets { esp_proposals = chacha20poly1305 } } } }
	END
}
tap_check "connections" connections || tap_done
XI_SNAPLEN=80 capture_start wan br
udp() { [ "$(gwip gw1 ip xfrm state list | grep -c 'encap type espinudp sport 4500 dport 4500')" = 2 ]; }
rekey() { swan "$1" --rekey --child "$2" && wait_for 15 ike_is "$1" 1 ".name == \"$2\""; }
for c in gcm:gcm128 gcm256:gcm256 cbc:cbc chapoly:chapoly; do
	child=${c#*:} ike=${c%:*}
	tap_check "$child: gw1 initiates" ike_up gw1 $child
	tap_check "$child: ESP in UDP" udp
	tap_check "$child: from gw1's side" carries $child 20 h1 10.1.2.2
	tap_check "$child: gw1 takes it down" ike_down gw1 $ike
	tap_check "$child: gw2 initiates" ike_up gw2 $child
	tap_check "$child: from gw2's side" carries $child 20 h2 10.1.1.2
	case $child in
	gcm128 | cbc)
		tap_check "$child: datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
		tap_check "$child: gw1 rekeys" rekey gw1 $child
		tap_check "$child: gw2 rekeys" rekey gw2 $child
		tap_check "$child: no datagram is lost" flow_end flow
		tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
		;;
	esac
	tap_check "$child: gw2 takes it down" ike_down gw2 $ike
	tap_check "$child: nothing is left" wait_for 5 sas_are gw1 0
done
capture_stop wan br > "$XI_TMP/capture"
tap_is "nothing but UDP 4500 and IKE" "$(pcap_count "$XI_TMP/wan-br.pcap" "not (udp port 4500 or $XI_LINK_FILTER)")" 0
tap_done
