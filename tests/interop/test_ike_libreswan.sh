#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
#
# libreswan's pluto, unchanged, as the IKE daemon of both gateways: what it negotiates carries traffic, through all that it
# does to SAs; xipsecd ends and comes again under it, and it under its SAs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/libreswan.sh
need_root
need_tools ip jq tcpdump openssl certutil pk12util
need_libreswan
RATE=200
export FLOW_WAIT=2          # some are lost for good while xipsecd is away
NETS='leftsubnet=10.1.%n.0/24
	rightsubnet=10.1.%p.0/24'
V6='left=2001:db8::%n
	right=2001:db8::%p'
NETS6="$V6
	leftsubnet=fd00:%n::/64
	rightsubnet=fd00:%p::/64"
CERT='authby=ecdsa
	leftcert=gw%n
	leftid=gw%n@xipsec.test
	rightid=gw%p@xipsec.test'

net_up || tap_skip_all "cannot make network namespaces"
ike_ca > "$XI_TMP/ca.log" 2>&1
for gw in gw1 gw2; do
	tap_check "xipsecd of $gw" start_daemon $gw || tap_done
	mkdir -p "$XI_TMP/$gw.swanctl/"{x509,x509ca,private}
	tap_check "a certificate of $gw" ike_cert $gw
	tap_check "for pluto" lsw_cert $gw
	tap_check "pluto of $gw" lsw_start $gw || tap_done
done
XI_SNAPLEN=80 capture_start wan br

ends() {
	lsw_unload gw1 t && wait_for 10 none_left && lsw_unload gw2 t
}

# try NAME LINES SAS FROM TO: a tunnel from gw1, traffic from both sides; SAS: expressions that both SAs of each end match
try() {
	local name=$1 from=$4 to=$5 back=${6:-} sas
	mapfile -t sas <<< "$3"
	tap_check "$name: connections" lsw_load_pair t <<< "$2" || return
	tap_check "$name: pluto establishes it" lsw_up gw1 t || tap_comment "$(tail -n 12 "$XI_TMP/gw2.pluto/pluto.log")"
	tap_check "$name: SAs are as wanted" both_have 2 "${sas[@]}"
	tap_check "$name: it carries" both_carry 20 "$from" "$to"
	[ -z "$back" ] || tap_check "$name: the other way too" both_carry 20 ${back/=/ }
	tap_check "$name: pluto takes it down" ends
}
try "AES-GCM, ESN" "$NETS
	esp=aes_gcm256
	esn=yes" $'mode tunnel\nflag .*esn\nrfc4106.gcm.aes.. 0x[0-9a-f]{72} 128' h1 10.1.2.2 h2=10.1.1.2
try "AES-CBC, SHA-2" "$NETS
	esp=aes256-sha2_256
	esn=no" $'mode tunnel\nenc cbc.aes. 0x[0-9a-f]{64}\nauth-trunc hmac.sha256. .* 128' h1 10.1.2.2
try "ChaCha20-Poly1305" "$NETS
	esp=chacha20_poly1305" $'mode tunnel\nrfc7539esp' h1 10.1.2.2
try "certificates" "$NETS
	$CERT
	esp=aes_gcm128" $'mode tunnel\nrfc4106' h1 10.1.2.2
tap_check "they authenticated with them" lsw_logged gw1 1 'authenticated peer .*ECDSA.*gw2@xipsec.test'
try "transport mode" "type=transport
	esp=aes256-sha2_256" $'mode transport\nenc cbc.aes.' gw1 192.0.2.2 gw2=192.0.2.1
try "in UDP" "$NETS
	encapsulation=yes
	esp=aes_gcm128" $'mode tunnel\nencap type espinudp sport 4500 dport 4500' h1 10.1.2.2 h2=10.1.1.2
try "transport mode in UDP" "type=transport
	encapsulation=yes
	esp=aes_gcm128" $'mode transport\nencap type espinudp sport 4500 dport 4500' gw1 192.0.2.2
try "IPv6" "$NETS6
	esp=aes_gcm128
	esn=yes" $'mode tunnel\nflag .*esn' h1 fd00:2::2 h2=fd00:1::2
try "IPv6, transport mode" "$V6
	type=transport
	esp=aes256-sha2_256" $'mode transport\nenc cbc.aes.' gw1 2001:db8::2

# traps
trap_pings() { net_in "$1" ping -q -c 20 -i 0.02 -W 10 "$2" | grep ' 0% packet loss'; }
trapped() { [ "$(xfrm_of "$1" xfrm policy list dir out | grep -c '^src 10')" = 1 ]; }
traps() {
	lsw_load_pair t <<< "$NETS
		esp=aes_gcm128" && lsw_route gw1 t && lsw_route gw2 t
}
# trap NAME GW FROM TO: a tunnel by a ping, and down again
sprung() {
	tap_check "$1: a ping makes pluto negotiate, and none is lost" trap_pings "$3" "$4"
	tap_check "$1: it carries" both_carry 20 "$3" "$4"
	tap_check "$1: pluto takes it down" lsw_down "$2" t
	tap_check "$1: at both ends" wait_for 10 none_left
}
tap_check "traps: connections" traps
tap_check "traps: policies stand in gw1" wait_for 10 trapped gw1
tap_check "traps: in gw2" wait_for 10 trapped gw2
tap_check "traps: no SA yet" none_left
sprung "a trap of gw1" gw1 h1 10.1.2.2
tap_check "it stands again" wait_for 10 trapped gw1
sprung "a trap of gw2" gw2 h2 10.1.1.2
sprung "a trap of gw1, once more" gw1 h1 10.1.2.2
lsw_unload gw1 t > "$XI_TMP/unload"
lsw_unload gw2 t > "$XI_TMP/unload"

# a trap between the hosts themselves catches all but IKE
host_trap() {
	lsw_load_pair t <<< "type=transport
		esp=aes_gcm128" && lsw_route gw1 t
}
host_trapped() { xfrm_of gw1 xfrm policy list dir out | grep '^src 192.0.2.1/32 dst 192.0.2.2/32'; }
tap_check "a trap for the other host: connections" host_trap
tap_check "a trap for the other host: a policy stands" wait_for 10 host_trapped
sprung "a trap for the other host" gw1 gw1 192.0.2.2
lsw_unload gw1 t > "$XI_TMP/unload"
lsw_unload gw2 t > "$XI_TMP/unload"

# libreswan's own updown script makes routes on the wire's link, with no gateway; for the host's own traffic xipsecd makes
# others, into xipsec0
tap_check "updown: xipsecd of gw1 ends" stop_daemon gw1
sed -i '/^.daemon.$/a routes = yes' "$XI_TMP/gw1.conf"
tap_check "updown: and starts, with routes" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_check "updown: connections" lsw_load_pair t <<< "$NETS
	leftsourceip=10.1.%n.1
	leftupdown=/usr/libexec/ipsec/_updown.xfrm
	esp=aes_gcm128"
net_in gw1 ip route del 10.1.2.0/24
net_in gw2 ip route del 10.1.1.0/24
tap_check "updown: a tunnel" lsw_up gw1 t
pluto_routes() { net_in gw1 ip route show 10.1.2.0/24 | grep 'dev wan0 .*src 10.1.1.1'; }
tap_check "updown: pluto has made a route" wait_for 10 pluto_routes
tap_check "updown: forwarded packets are carried" both_carry 20 h1 10.1.2.2
own_route() { net_in gw1 ip route get 10.1.2.2 | grep 'dev xipsec0 .*src 10.1.1.1'; }
tap_check "updown: the host's own go to xipsec0" wait_for 10 own_route
tap_check "updown: and are carried" both_carry 20 gw1 10.1.2.2
tap_check "updown: pluto takes it down" ends
tap_is "updown: and its route" "$(net_in gw1 ip route show 10.1.2.0/24)" ""
tap_check "updown: xipsecd of gw1 ends" stop_daemon gw1
tap_check "updown: and starts, without routes" start_daemon gw1 "$(gw_conf gw1)"
net_in gw1 ip route add 10.1.2.0/24 via 192.0.2.2
net_in gw2 ip route add 10.1.1.0/24 via 192.0.2.1

# Rekeying. Who answers sends by the new SA at once, and who asked has only its SPI until the answer is there: what overtakes
# the answer waits for its SA.
# rekeying N GW [LINE...]: N times, begun by GW; LINEs are its
rekeying() {
	local n=$1 gw=$2 other=gw$((3 - ${2#gw})) held rekeyed name
	shift 2
	name="$gw rekeys, $*"
	tap_check "$name: connections" rekey_pair "$gw" "$other" "$@" || return
	tap_check "$name: a tunnel" lsw_up "$gw" t || return
	rekeyed=$(lsw_log "$gw" | grep -c "$REKEYED")
	held=$(($(gw_reason_of gw1 held) + $(gw_reason_of gw2 held)))
	tap_check "$name: datagrams both ways" flow_start flow $((5 * RATE)) h1:10.1.1.2=h2:10.1.2.2
	tap_check "$name: $n times" wait_for 30 lsw_logged "$gw" $((rekeyed + n)) "$REKEYED"
	flow_end flow > "$XI_TMP/flow.end"
	tap_comment "$(tail -n 2 "$XI_TMP/flow.log"); $(($(gw_reason_of gw1 held) + $(gw_reason_of gw2 held) - held)) waited"
	tap_is "$name: no datagram is lost, and none arrives twice" "$(tail -n 2 "$XI_TMP/flow.log" | jq -c '[.lost, .twice]' | sort -u)" "[0,0]"
	tap_check "$name: it carries" wait_for 10 both_carry 20 h1 10.1.2.2
	tap_check "$name: pluto takes it down" ends
}
REKEYED='initiator rekeyed Child SA'
rekey_pair() {
	local gw
	for gw in "$1" "$2"; do
		lsw_load "$gw" "${gw#gw}" $((3 - ${gw#gw})) t <<< "$NETS
			esp=aes_gcm128
			esn=yes
			$([ "$gw" = "$2" ] || printf '%s\n' "${@:3}")" || return
	done
}
rekeying 4 gw1 salifetime=4s rekeymargin=2s rekeyfuzz=0%
rekeying 4 gw2 salifetime=4s rekeymargin=2s rekeyfuzz=0%
rekeying 3 gw1 ipsec-max-packets=3000


# pluto asks a peer that was silent for a second; who was silent it knows from the SAs
lost_peer() {
	lsw_load gw1 1 2 t <<< "$NETS
		esp=aes_gcm128
		retransmit-timeout=3s
		dpddelay=1s
		dpdtimeout=3s
		dpdaction=restart" && lsw_load gw2 2 1 t <<< "$NETS
		esp=aes_gcm128"
}
tap_check "a peer that dies: connections" lost_peer
tap_check "a peer that dies: a tunnel" lsw_up gw1 t
tap_check "a peer that dies: it carries" both_carry 20 h1 10.1.2.2
UP='initiator established Child SA'
ups=$(lsw_log gw1 | grep -c "$UP")
net_in wan ip link set w2 down
tap_check "a peer that dies: pluto sees it" wait_for 20 lsw_logged gw1 1 'liveness action'
net_in wan ip link set w2 up
tap_check "a peer that dies: when it is back, another tunnel" wait_for 30 lsw_logged gw1 $((ups + 1)) "$UP"
tap_check "a peer that dies: it carries" wait_for 20 both_carry 20 h1 10.1.2.2
lsw_unload gw1 t > "$XI_TMP/unload"
lsw_unload gw2 t > "$XI_TMP/unload"
tap_check "a peer that dies: nothing is left" wait_for 10 none_left

# xipsecd ends and comes again
lasting() { lsw_load_pair t <<< "$NETS
	esp=aes_gcm128
	esn=yes"; }
again() { kill_daemon "$1" && start_daemon "$1"; }
tap_check "xipsecd: connections" lasting
tap_check "xipsecd: a tunnel" lsw_up gw1 t
tap_check "xipsecd: datagrams both ways" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
tap_check "xipsecd: they are counted" wait_for 10 both_counted 200
pluto=$(< "$XI_TMP/gw1.pluto/run/pluto.pid")
tap_check "xipsecd: kill -9 in gw1, and start" again gw1
tap_check "xipsecd: kill -9 in gw2, and start" again gw2
past=$(both_counts | sort -n | tail -n 1)
tap_check "xipsecd: the counters go on" wait_for 15 both_counted $((past + RATE))
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
tap_check "xipsecd: what was lost was lost while nobody was there" sh -c \
	"tail -n 2 $XI_TMP/flow.log | jq -es 'all(.twice == 0 and .lost < $((RATE * 3)) and .received > $((RATE / 2)))'"
tap_check "xipsecd: no datagram is lost after it" flow_start flow $RATE h1:10.1.1.2=h2:10.1.2.2
tap_check "xipsecd: pluto rekeys" lsw_whack gw1 --rekey-ipsec --name t
tap_check "xipsecd: SAs are others" wait_for 10 lsw_logged gw1 1 "$REKEYED"
flow_end flow > "$XI_TMP/flow.end"
tap_comment "$(tail -n 2 "$XI_TMP/flow.log")"
tap_is "xipsecd: nor arrives twice" "$(tail -n 2 "$XI_TMP/flow.log" | jq -c '[.lost, .twice]' | sort -u)" "[0,0]"
tap_is "xipsecd: it is the same pluto" "$(< "$XI_TMP/gw1.pluto/run/pluto.pid")" "$pluto"
tap_check "xipsecd: kill -9 in gw1" kill_daemon gw1
tap_check "pluto answers all the same" timeout 10 "$PLUTO_ROOT/usr/libexec/ipsec/whack" \
	--ctlsocket "$XI_TMP/gw1.pluto/run/pluto.ctl" --trafficstatus
timeout 15 "$PLUTO_ROOT/usr/libexec/ipsec/whack" --ctlsocket "$XI_TMP/gw1.pluto/run/pluto.ctl" --rekey-ipsec --name t > "$XI_TMP/refused" 2>&1
tap_comment "$(< "$XI_TMP/refused")"
tap_check "xipsecd starts" start_daemon gw1
recovers() { lsw_unload gw1 t; lsw_unload gw2 t; lasting && lsw_up gw1 t && both_carry 20 h1 10.1.2.2; }
tap_check "pluto establishes the tunnel anew" wait_for 30 recovers

# pluto ends and comes again
tap_check "pluto of gw1 is killed" lsw_kill gw1
pings() { net_in h1 ping -q -c 20 -i 0.005 -W 2 10.1.2.2 | grep ' 0% packet loss'; }
tap_check "traffic goes on without it" both_carry 20 h1 10.1.2.2
tap_check "it starts" lsw_start gw1
tap_check "its connections" lasting
tap_check "it establishes the tunnel" lsw_up gw1 t
tap_check "which carries" both_carry 20 h1 10.1.2.2
tap_check "pluto of gw1 ends" lsw_stop gw1
none_of_gw2() { ! xfrm_of gw2 xfrm state | grep -q '^src'; }
tap_check "it has told gw2" wait_for 10 none_of_gw2
tap_check "it starts" lsw_start gw1
tap_check "its connections" lasting
tap_check "it establishes the tunnel" lsw_up gw1 t
tap_check "which carries" both_carry 20 h1 10.1.2.2
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "no number of an SA twice" esp_unique "$XI_TMP/wan-br.pcap"
tap_done
