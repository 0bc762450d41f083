#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Road warriors: hosts that get a virtual address from gw2 and reach the network behind it, or everything, by its
# routes. charon installs the addresses and routes (table 220), unchanged.
#
#   gw1 192.0.2.1    rw 192.0.2.3  === wan ===  192.0.2.2 gw2 10.1.2.1 --- 10.1.2.2 h2
#    10.99.0.x        10.99.0.y                      pools 10.99.0.0/24, fd99::/64
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump nc

up() {
	net_up wan gw1 gw2 h2 && net_add rw && net_plug rw wan0 192.0.2.3/24 2001:db8::3/64 &&
		net_in gw1 ip route del 10.1.2.0/24 && net_in gw1 ip -6 route del fd00:2::/64
}
env_routes() { IKE_ROUTES=yes ike_start "$1"; }
certificates() { ike_ca && ike_cert gw1 && ike_cert gw2 && ike_cert rw; }
# warrior NAME
warrior() {
	ike_load "$1" 1 2 <<- END
		me : common { remote_addrs = 192.0.2.2
		              vips = 0.0.0.0, ::
		              local { auth = pubkey
		                      certs = $1.pem
		                      id = $1@xipsec.test }
		              remote { auth = pubkey } }
		connections {
		  home : me { remote { id = gw2@xipsec.test }
		              children { home { remote_ts = 10.1.2.0/24, fd00:2::/64, 10.99.0.0/24
		                                esp_proposals = aes128gcm16-esn } } }
		  all : me { remote { id = all@xipsec.test }
		             children { all { remote_ts = 0.0.0.0/0, ::/0
		                              esp_proposals = aes128gcm16-esn } } } }
	END
}
connections() {
	warrior gw1 && warrior rw && ike_load gw2 2 1 <<- END
		any : common { local_addrs = 192.0.2.2
		               pools = v4, v6
		               local { auth = pubkey
		                       certs = gw2.pem }
		               remote { auth = pubkey
		                        cacerts = ca.pem } }
		connections {
		  home : any { local { id = gw2@xipsec.test }
		               children { home { local_ts = 10.1.2.0/24, fd00:2::/64, 10.99.0.0/24
		                                 esp_proposals = aes128gcm16-esn } } }
		  all : any { local { id = all@xipsec.test }
		              children { all { local_ts = 0.0.0.0/0, ::/0
		                               esp_proposals = aes128gcm16-esn } } } }
		pools { v4 { addrs = 10.99.0.0/24 }
		        v6 { addrs = fd99::/64 } }
	END
}
# charon's route for IPv6 names no next hop on a link of IPv4: ours comes before it
route6() {
	net_in rw ip -6 rule add pref 200 lookup 200 && net_in rw ip -6 route add fd00:2::/64 dev xipsec0 src "$(vip6 rw)" table 200
}
vip() { net_in "$1" ip -j -4 addr | jq -r '.[].addr_info[].local' | grep '^10\.99\.0\.'; }
vip6() { net_in "$1" ip -j -6 addr | jq -r '.[].addr_info[].local' | grep '^fd99:'; }
pings() { net_in "$1" ping -q -c 20 -i 0.005 -W 3 "${@:3}" "$2" | grep ' 0% packet loss'; }
tcp() {
	head -c 1000000 /dev/urandom > "$XI_TMP/blob"
	net_bg sink h2 timeout 20 sh -c "nc -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in "$1" timeout 15 nc -N 10.1.2.2 7000 < "$XI_TMP/blob"
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}
up || tap_skip_all "cannot make network namespaces"
for name in gw1 rw; do
	tap_check "xipsecd in $name" start_daemon $name || tap_done
	tap_check "charon in $name, with its routes" env_routes $name || tap_done
done
tap_check "xipsecd in gw2" start_daemon gw2 || tap_done
tap_check "charon in gw2" ike_start gw2 || tap_done
tap_check "a CA and certificates" certificates || tap_done
tap_check "connections" connections || tap_done
tap_check "gw2 itself sends to the pool through xipsec0" \
	sh -c "nsenter --net=/run/netns/$XI_NS-gw2 ip route add 10.99.0.0/24 dev xipsec0"
capture_start wan br

tap_check "gw1 gets a tunnel" ike_up gw1 home
tap_check "rw gets one" ike_up rw home
tap_check "gw1 has a virtual address" vip gw1
tap_check "rw has another" vip rw
tap_check "they differ" test "$(vip gw1)" != "$(vip rw)"
tap_check "rw also has one of IPv6" sh -c "[ '$(vip6 rw)' ]"
tap_check "gw1 reaches the network, from it" carries home 20 gw1 10.1.2.2
tap_check "rw, too" pings rw 10.1.2.2 -I "$(vip rw)"
tap_check "a route for IPv6" route6
tap_check "and by IPv6" pings rw fd00:2::2 -I "$(vip6 rw)"
tap_check "the network reaches gw1" pings h2 "$(vip gw1)"
tap_check "the network reaches rw" pings h2 "$(vip rw)"
tap_check "one warrior reaches the other, by gw2" pings rw "$(vip gw1)" -I "$(vip rw)"
tap_check "TCP, without a word about addresses" tcp gw1
tap_check "gw2 has SAs of both" test "$(ike_children gw2 '.name == "home"')" = 2
tap_check "rekeyed" swan rw --rekey --child home
tap_check "rw goes on" pings rw 10.1.2.2

net_in rw ip -6 rule del pref 200
tap_check "gw1 ends" ike_down gw1 home
tap_is "its virtual address is gone" "$(vip gw1)" ""
tap_check "rw goes on" pings rw 10.1.2.2
tap_check "rw ends" ike_down rw home

# everything through the tunnel but IKE
tap_check "rw: all traffic" ike_up rw all
tap_check "the network" pings rw 10.1.2.2
tap_check "the gateway itself" pings rw 192.0.2.2 -I "$(vip rw)"
tap_check "rekeying passes by the tunnel" swan rw --rekey --child all
tap_check "the IKE SA's, too" swan rw --rekey --ike all
tap_check "and it goes on" pings rw 10.1.2.2
tap_check "rw ends" ike_down rw all
capture_stop wan br > "$XI_TMP/capture"
tap_check "nothing was in clear" only_esp "$XI_TMP/wan-br.pcap"
tap_check "and there was ESP" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50')" -ge 300
tap_done
