#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demonstration behind `make demo-ike`: strongSwan, as Debian has it, on two gateways that have no kernel ESP.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/demo.sh
demo_begin demo-ike log charon
ike_connection() {
	cat <<- END
		connections {
		  office : wan, cert {
		    children {
		      lan  : nets { rekey_time = 1h }
		      lan6 : nets6 { } } } }
	END
}
# agree GW: charon's counters and xipsec's are the same numbers, SA by SA, and none is 0
agree() {
	ike_sas "$1" | jq -r '.[].children[] | (.["spi-in"], .["bytes-in"], .["packets-in"]), (.["spi-out"], .["bytes-out"], .["packets-out"])' |
		paste -d ' ' - - - | sed 's/^/0x/' | sort > "$XI_TMP/$1.by-charon"
	gwctl "$1" xipsec show -j | jq -r '.sas[] | "\(.spi) \(.bytes) \(.packets)"' | sort > "$XI_TMP/$1.by-xipsec"
	diff "$XI_TMP/$1.by-charon" "$XI_TMP/$1.by-xipsec" &&
		[ "$(wc -l < "$XI_TMP/$1.by-charon")" = 4 ] && ! grep ' 0' "$XI_TMP/$1.by-charon"
}

demo_up

say "what this kernel says of ESP"
run gw1 ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1 mode tunnel aead 'rfc4106(gcm(aes))' "0x$(printf '%040d' 0)" 128 2>&1
run gw1 ip xfrm state flush 2> /dev/null

say "xipsecd and strongSwan in each gateway; what charon tells the kernel goes to xipsecd: LD_PRELOAD=libxipsec-xfrm.so"
dpkg-query -W charon-systemd strongswan-swanctl 2> /dev/null
for gw in gw1 gw2; do
	start_daemon $gw || fail "xipsecd in $gw"
	ike_start $gw || fail "charon in $gw"
done
swan gw1 --stats | tail -n 1

say "certificates, and one connection with two children"
ike_connection | sed 's/%n/1/g; s/%p/2/g'
ike_ca > /dev/null 2>&1 || fail "a CA by openssl"
for gw in gw1 gw2; do
	ike_cert $gw > /dev/null 2>&1 || fail "a certificate by openssl"
done
ike_connection | ike_load_pair || fail "charon does not take the configuration"

say "IKEv2 over the wire"
XI_SNAPLEN=96 capture_start wan br || fail "capture"
for child in lan lan6; do
	echo "[gw1] $ swanctl --initiate --child $child"
	swan gw1 --initiate --child $child || fail "$child is not established"
done

say "traffic: ping over IPv4 and IPv6, then TCP while the child is rekeyed"
run h1 ping -q -c 200 -i 0.002 -W 2 10.1.2.2 || fail "ping"
run h1 ping -q -c 100 -i 0.005 -W 2 fd00:2::2 || fail "ping over IPv6"
net_bg iperf h2 iperf3 -s -1
wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :5201 | grep -q .' || fail "iperf3 server"
net_bg tcp h1 iperf3 -c 10.1.2.2 -t 4 -f m
wait_for 5 net_in h1 sh -c 'ss -Htn state established dport = :5201 | grep -q .' || fail "TCP"
echo "[gw1] $ swanctl --rekey --child lan"
swan gw1 --rekey --child lan || fail "rekeying"
wait "${xi_pids["bg tcp"]}" || fail "TCP: $(tail -n 3 "$XI_TMP/tcp.log")"
grep -E 'sender|receiver' "$XI_TMP/tcp.log"
# what is left of the old child takes packets that were under way for five seconds
wait_for 15 sas_are gw1 4 && wait_for 15 sas_are gw2 4 || fail "the SAs of before do not go"
run h1 ping -q -c 10 -i 0.01 -W 2 10.1.2.2 || fail "ping"
capture_stop wan br > /dev/null || echo "(the capture could not keep up with TCP; what it has is looked at)"

say "what the wire carried"
pcap_list "$XI_TMP/wan-br.pcap" 'udp port 500' | head -n 4
pcap_list "$XI_TMP/wan-br.pcap" esp | head -n 2
clear=$(pcap_list "$XI_TMP/wan-br.pcap" "not (esp or udp port 500 or $XI_LINK_FILTER)")
[ -z "$clear" ] || fail "cleartext on the wire: $clear"
[ "$(pcap_count "$XI_TMP/wan-br.pcap" esp)" -gt 600 ] || fail "too little ESP on the wire"
echo "... $(pcap_count "$XI_TMP/wan-br.pcap" esp) ESP packets; nothing in clear but IKE, ARP and neighbour discovery"

say "swanctl --list-sas and xipsec show, on gw1"
swan gw1 --list-sas
gwctl gw1 xipsec show | sed '/^policy:/,$d'
for gw in gw1 gw2; do
	agree $gw || fail "strongSwan and xipsec count differently on $gw"
done
echo "both count the same bytes and packets, on gw1 and on gw2"
say "done; everything is being taken down"
