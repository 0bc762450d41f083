#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 150
#
# Routes for policies beside those of strongSwan (install_routes = yes, table 220): both may be there, or one of them. And a
# road warrior, whose virtual IPs and policies for everything are charon's.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip ping tcpdump swanctl jq
CHARON=/usr/sbin/charon-systemd
[ -x $CHARON ] || tap_skip_all "strongSwan (charon-systemd) is not installed"

swan() { net_in "$1" swanctl "${@:2}" --uri "unix://$XI_TMP/$1.vici" 2>&1; }

charon() {
	local n=${1#gw} peer=$((3 - ${1#gw})) common
	cat > "$XI_TMP/$1.strongswan" <<- END
		charon-systemd {
			install_routes = yes
			journal { default = -1 }
			filelog { log { path = $XI_TMP/$1.charon
			                default = 1
			                flush_line = yes } }
			plugins { vici { socket = unix://$XI_TMP/$1.vici } }
			load = random nonce aes sha1 sha2 hmac gmp kdf drbg kernel-netlink socket-default vici
		}
	END
	common="version = 2
		local_addrs = 192.0.2.$n
		remote_addrs = 192.0.2.$peer
		proposals = aes128-sha256-modp2048"
	auth() {
		echo "local { auth = psk
		        id = $1$n }
		remote { auth = psk
		         id = $1$peer }"
	}
	cat > "$XI_TMP/$1.swanctl" <<- END
		connections {
		  site { $common
		    $(auth site)
		    children { net { local_ts = 10.1.$n.0/24
		                     remote_ts = 10.1.$peer.0/24
		                     esp_proposals = aes128gcm16-esn } } }
		  road { $common
		    $(auth road)
		    $([ "$n" = 1 ] && echo "vips = 0.0.0.0, ::" || echo "pools = four, six")
		    children { all { $([ "$n" = 1 ] && echo remote_ts || echo local_ts) = 0.0.0.0/0, ::/0
		                     esp_proposals = aes128gcm16-esn } } } }
		pools { four { addrs = 10.3.0.0/24 }
		        six { addrs = fd00:3::/120 } }
		secrets { ike-1 { secret = "not a secret at all" } }
	END
	net_bg "charon-$1" "$1" env STRONGSWAN_CONF="$XI_TMP/$1.strongswan" \
		LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" $CHARON
	wait_for 15 test -S "$XI_TMP/$1.vici" &&
		swan "$1" --load-all --file "$XI_TMP/$1.swanctl" > "$XI_TMP/$1.load"
}

initiated() { [[ $(swan gw1 --initiate --child "$1") == *"initiate completed successfully"* ]]; }
has_sas() { [ "$(gwip "$1" ip xfrm state list | grep -c '^src')" = "$2" ]; }
ended() {
	[[ $(swan gw1 --terminate --ike "$1") == *"terminate completed successfully"* ]] &&
		wait_for 5 has_sas gw1 0 && wait_for 5 has_sas gw2 0
}
# total: packets of all of gw1's SAs to gw2
total() {
	gwctl gw1 xipsec show -j | jq '[.sas[] | select(.dir == "out") | .packets] | add // 0'
}
figure() { gwctl gw1 xipsec routes -j | jq -r ".$1"; }
settled() { [ "$(figure busy)" = false ]; }
ours() { { net_in gw1 ip route show table 50051; net_in gw1 ip -6 route show table 50051; } 2> /dev/null | grep -v '^throw'; }
ours_is() { [ "$(ours | grep -o '^[^ ]*\| src [^ ]*' | paste -sd ' ' | tr -s ' ')" = "$1" ]; }
theirs() { { net_in gw1 ip route show table 220; net_in gw1 ip -6 route show table 220; } 2> /dev/null | grep -c "$1"; }
theirs_has() { [ "$(theirs "$1")" -gt 0 ]; }
pings() { net_in "$1" ping -q -c 20 -i 0.005 -W 2 "${@:2}" | grep ' 0% packet loss'; }
# grows NAME N CMD...: CMD succeeds, and gw1's SAs have sent N packets more
grows() {
	local name=$1 n=$2 before
	shift 2
	before=$(total)
	tap_check "$name" "$@"
	tap_is "$name: through the SA" "$(($(total) - before))" "$n"
}

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	n=${gw#gw}
	net_addr $gw lo 10.1.$n.1/32 198.51.100.$n/32 2001:db8:ffff::$n/128
	net_in $gw ip route del 10.1.$((3 - n)).0/24
	net_in $gw ip route add default via 192.0.2.254
	net_in $gw ip -6 route add default via 2001:db8::fe
	conf=$(gw_conf $gw)
	# gw2 lives by charon's routes alone
	[ $gw = gw2 ] || sed -i 's/^\[daemon\]/&\nroutes = yes/' "$conf"
	start_daemon $gw "$conf" || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	charon $gw || { tap_not_ok "charon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.charon")"; tap_done; }
done

XI_SNAPLEN=128 capture_start wan br
tap_check "charon establishes a tunnel" initiated net
tap_check "the daemon has its route" wait_for 5 ours_is "10.1.2.0/24 src 10.1.1.1"
tap_check "charon has one, too" wait_for 5 theirs_has '^10.1.2.0/24 .* src 10.1.1.1'
grows "the host's traffic goes by the daemon's" 20 pings gw1 10.1.2.1
grows "the peer's goes by charon's alone" 20 pings gw2 10.1.1.1
changes=$(figure changes)
tap_check "charon rekeys" swan gw1 --rekey --child net
tap_check "the new SAs come" wait_for 15 has_sas gw1 2
tap_check "packets go on" pings gw1 10.1.2.1
tap_check "routes are settled" wait_for 5 settled
tap_is "and were not touched" "$(figure changes)" "$changes"
net_in gw1 ip route flush table 220
tap_is "charon's route goes" "$(theirs .)" 0
grows "the daemon's does not depend on it" 20 pings gw1 10.1.2.1
tap_check "charon ends it" ended site
tap_check "and the daemon's route goes" wait_for 5 ours_is ""
tap_check "again" initiated net
tap_check "both routes are there again" wait_for 5 theirs_has '^10.1.2.0/24'
tap_check "the daemon's as well" wait_for 5 ours_is "10.1.2.0/24 src 10.1.1.1"
tap_check "charon ends it" ended site
tap_is "no route of either is left" "$(ours | wc -l) $(theirs .)" "0 0"

tap_check "a road warrior gets virtual IPs" initiated all
tap_check "everything goes to the gateway from them" wait_for 10 ours_is "default src 10.3.0.1 default src fd00:3::1"
tap_check "charon has routes for that as well" wait_for 5 theirs_has '^default .* src 10.3.0.1'
grows "IPv4" 20 pings gw1 198.51.100.2
grows "IPv6" 20 pings gw1 2001:db8:ffff::2
grows "the gateway reaches the road warrior" 20 pings gw2 -I 198.51.100.2 10.3.0.1
changes=$(figure changes)
tap_check "IKE itself goes past it: charon rekeys IKE" swan gw1 --rekey --ike road
tap_check "and the SAs" swan gw1 --rekey --child all
ikes() { [ "$(swan gw1 --list-sas | grep -c ESTABLISHED)" = 1 ]; }
tap_check "one IKE SA is left" wait_for 15 ikes
tap_check "and a pair of SAs" wait_for 15 has_sas gw1 2
# charon looks for the way to its peer in all tables, ours included, whenever addresses change
net_addr gw1 lo 10.77.0.1/32
grows "addresses change, packets go on" 20 pings gw1 198.51.100.2
tap_check "IKE answers still" swan gw1 --rekey --ike road
tap_check "one IKE SA is left" wait_for 15 ikes
tap_is "from the same address to the same" "$(swan gw1 --list-sas | grep -cE "local .*@ 192\.0\.2\.1\[|remote .*@ 192\.0\.2\.2\[")" 2
tap_check "routes are settled" wait_for 5 settled
tap_is "and were not touched" "$(figure changes)" "$changes"
tap_check "charon ends it" ended road
tap_check "virtual IPs and routes go" wait_for 5 ours_is ""
tap_is "nothing is left of either" "$(ours | wc -l) $(theirs .)" "0 0"
capture_stop wan br
clear="icmp or net 10.0.0.0/8 or net 198.51.100.0/24 or net 2001:db8:ffff::/64 or net fd00:3::/64"
tap_is "nothing went in clear" "$(pcap_list "$XI_TMP/wan-br.pcap" "($clear) and not ($XI_LINK_FILTER)")" ""
tap_check "and ESP went" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50')" -ge 300
for gw in gw1 gw2; do
	tap_check "the daemon of $gw stops cleanly" stop_daemon $gw
done
tap_done
