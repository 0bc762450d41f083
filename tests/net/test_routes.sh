#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 120
#
# routes = yes: the host's own traffic finds its way into xipsec0 by routes that follow from policies, and nothing else does.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping jq nc

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	n=${gw#gw}
	net_addr $gw lo 10.1.$n.1/32 fd00:$n::1/128
	# nothing but the daemon's routes leads there
	net_in $gw ip route del 10.1.$((3 - n)).0/24
	net_in $gw ip -6 route del fd00:$((3 - n))::/64
	net_in $gw ip route add default via 192.0.2.254
	net_in $gw ip -6 route add default via 2001:db8::fe
	conf=$(gw_conf $gw)
	sed -i 's/^\[daemon\]/&\nroutes = yes/' "$conf"
	start_daemon $gw "$conf" || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	{ tunnel_lines $gw 4 4; tunnel_lines $gw 4 6; } | load_lines $gw
done

figure() { gwctl gw1 xipsec routes -j | jq -r ".$1"; }
settled() { [ "$(figure busy)" = false ]; }
# table: as the kernel has it, without words that are alike for all
table() {
	{ net_in gw1 ip route show table 50051; net_in gw1 ip -6 route show table 50051; } 2> /dev/null |
		sed 's/ proto 50 / /; s/ scope link//; s/ dev xipsec0//; s/ dev lo//; s/ metric 50051//; s/ pref medium//; s/ *$//' | sort | paste -sd,
}
table_is() { [ "$(table)" = "$1" ]; }
rules() { { net_in gw1 ip rule; net_in gw1 ip -6 rule; } | grep -c 'proto 50$'; }
has_table() {
	wait_for 5 table_is "$2" && wait_for 5 settled
	tap_is "$1" "$(table)" "$2"
}
packets() { gwip gw1 ip -s xfrm state list | sa_packets $(($1)); }
pings() { net_in gw1 ping -q -c 10 -i 0.005 -W 2 "$@" | grep ' 0% packet loss'; }
no_ping() { ! net_in gw1 ping -q -c 2 -i 0.01 -W 1 "$@" > /dev/null; }
# grows NAME SPI CMD...: CMD succeeds, and the SA carries its ten packets
grows() {
	local name=$1 spi=$2 before
	shift 2
	before=$(packets "$spi")
	tap_check "$name" "$@"
	tap_is "$name: through the SA" "$(($(packets "$spi") - before))" 10
}

both="10.1.2.0/24 src 10.1.1.1,fd00:2::/64 src fd00:1::1"
has_table "routes follow from policies" "$both"
capture_start wan br
grows "IPv4" "$((SA_BASE + 1))" pings 10.1.2.1
grows "IPv6" "$((SA_BASE + 33))" pings fd00:2::1
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"
tap_check "a socket bound to another address is no matter of theirs" \
	sh -c "nsenter --net=/run/netns/$XI_NS-gw1 ip route get 10.1.2.1 from 192.0.2.1 | grep -q 'dev wan0'"

changes=$(figure changes)
tap_check "a policy is updated, as at a rekey" gwctl gw1 xipsec xfrm policy update src 10.1.1.0/24 dst 10.1.2.0/24 dir out \
	tmpl src 192.0.2.1 dst 192.0.2.2 proto esp spi $((SA_BASE + 1)) reqid $((SA_BASE + 1)) mode tunnel
tap_check "and the routes settle" wait_for 5 settled
tap_is "without a change of routes" "$(figure changes)" "$changes"

# the kernel's own policies have no say (in IPv6 it has no setting for that)
if net_in gw1 ip xfrm policy add src 10.1.1.0/24 dst 10.1.2.0/24 dir out action block 2> /dev/null; then
	net_in gw1 ip xfrm policy add src 10.1.2.0/24 dst 10.1.1.0/24 dir in action block
	grows "a policy of the kernel's own stops nothing" "$((SA_BASE + 1))" pings 10.1.2.1
	net_in gw1 ip xfrm policy flush
else
	tap_skip "a policy of the kernel's own stops nothing" "this kernel has no XFRM"
fi

# others
net_in gw1 ip route del table 50051 10.1.2.0/24
has_table "a route that somebody removes comes back" "$both"
tap_is "and is counted" "$(figure restored)" 1
net_in gw1 ip rule del pref 211
net_in gw1 ip -6 rule del pref 210 fwmark 0x50051 goto 212
has_rules() { [ "$(rules)" = "$1" ]; }
tap_check "rules too" wait_for 5 has_rules 14
net_in gw1 ip addr del 10.1.1.1/32 dev lo
net_in gw1 ip -6 addr del fd00:1::1/128 dev lo
has_table "no address in the source, no route" ""
tap_is "they wait" "$(figure waiting)" 2
net_addr gw1 lo 10.1.1.1/32 fd00:1::1/128
has_table "an address is added later" "$both"
net_in gw1 sh -c 'ip addr del 10.1.1.1/32 dev lo; ip addr add 10.1.1.1/32 dev lo'
has_table "an address goes and comes at once" "$both"
net_in gw1 ip link set xipsec0 down
net_in gw1 ip link set xipsec0 up
has_table "xipsec0 goes down and up" "$both"
grows "and carries on" "$((SA_BASE + 1))" pings 10.1.2.1

# a road warrior: a virtual IP, and everything to the gateway
vip_lines() {
	local n=$1 base i fam vip all
	for fam in 4 6; do
		base=$((SA_BASE + 0x100 * fam)) vip=10.3.0.5/32 all=0.0.0.0/0
		[ $fam = 4 ] || vip=fd00:3::5/128 all=::/0
		for i in 1 2; do
			sa_lines 192.0.2.$i 192.0.2.$((3 - i)) $((base + i)) "$(sa_key $((base + i)))" flag af-unspec
		done
		i=$((3 - n))
		[ "$n" = 1 ] || { vip=$all all=10.3.0.5/32; [ $fam = 4 ] || all=fd00:3::5/128; }
		echo "xfrm policy add src $vip dst $all dir out priority 1000 tmpl src 192.0.2.$n dst 192.0.2.$i proto esp reqid $((base + n)) mode tunnel"
		echo "xfrm policy add src $all dst $vip dir in priority 1000 tmpl src 192.0.2.$i dst 192.0.2.$n proto esp reqid $((base + i)) mode tunnel"
	done
}
for gw in gw1 gw2; do
	vip_lines ${gw#gw} | load_lines $gw
done
net_addr gw2 lo 198.51.100.1/32 2001:db8:ffff::1/128
has_table "a policy for a virtual IP that is not there yet" "$both"
net_addr gw1 lo 10.3.0.5/32 fd00:3::5/128
warrior="10.1.2.0/24 src 10.1.1.1,default src 10.3.0.5,default src fd00:3::5,fd00:2::/64 src fd00:1::1"
thrown="throw 169.254.0.0/16,throw 192.0.2.2,throw 224.0.0.0/24,throw 255.255.255.255"
has_table "and is" "$warrior,$thrown"
capture_start wan br
spi4=$((SA_BASE + 0x401)) spi6=$((SA_BASE + 0x601))
grows "everything goes there, IPv4" $spi4 pings 198.51.100.1
grows "everything goes there, IPv6" $spi6 pings 2001:db8:ffff::1
grows "more narrow routes stay" "$((SA_BASE + 1))" pings 10.1.2.1
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"

# ESP itself, IKE, the peer, and what is asked of an address that no policy has
tap_check "the peer is reached by the route that was there" sh -c "nsenter --net=/run/netns/$XI_NS-gw1 ip route get 192.0.2.2 | grep -q 'dev wan0'"
net_in gw1 sh -c 'echo 1 > /proc/sys/net/ipv4/conf/wan0/rp_filter'
capture_start wan br
ike() { printf '%s' "$1" | net_in gw1 nc -u -w 1 -p "$2" -s "$3" 192.0.2.254 500; }
tap_check "IKE of the virtual IP" ike "ike of the virtual ip" 500 10.3.0.5
tap_check "IKE behind a NAT" ike "ike behind a nat" 4500 10.3.0.5
tap_check "somebody asks an address that is in no policy" net_in wan ping -q -c 5 -i 0.01 -W 2 192.0.2.1
capture_stop wan br
tap_is "IKE goes out by its port" "$(pcap_count "$XI_TMP/wan-br.pcap" 'src 10.3.0.5 and udp dst port 500 and (src port 500 or src port 4500)')" 2
tap_is "the answers go back in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp and src 192.0.2.1')" 5

# its own network
grows "without a passthrough its own network is beyond the tunnel as well" $spi4 \
	sh -c "! nsenter --net=/run/netns/$XI_NS-gw1 tests/lib/ping.py -q -c 10 -i 0.005 -W 1 192.0.2.254 | grep -q ' 0% packet loss'"
tap_check "a policy lets it pass" gwctl gw1 xipsec xfrm policy add src 192.0.2.0/24 dst 192.0.2.0/24 dir out priority 10
has_table "and is thrown back" "$warrior,throw 169.254.0.0/16,throw 192.0.2.0/24,throw 192.0.2.2,throw 224.0.0.0/24,throw 255.255.255.255"
capture_start wan br
tap_check "its own network is reached" pings 192.0.2.254
capture_stop wan br
tap_is "in clear, from its own address" "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp and src 192.0.2.1 and dst 192.0.2.254')" 10

# fail closed
before=$(table)
capture_start wan br
net_bg flood gw1 ping -q -i 0.002 -c 30000 -W 1 198.51.100.1
tap_check "the daemon is killed" kill_daemon gw1
tap_is "routes and rules outlive it" "$(table) $(rules)" "$before $(rules)"
tap_check "nothing passes" no_ping 198.51.100.1
tap_check "nothing passes, IPv6" no_ping 2001:db8:ffff::1
# left by one that was killed in the middle of a change
net_in gw1 ip route add 10.99.0.0/16 dev xipsec0 table 50051 proto 50 metric 50051
net_in gw1 ip -6 route add throw fd99::/16 table 50051 proto 50 metric 50051
net_in gw1 ip route add 10.98.0.0/16 dev xipsec0 table 777 proto 50 metric 50051
net_in gw1 ip rule add pref 99 lookup 777 protocol 50
net_in gw1 ip route add throw 10.97.0.0/16 table 50051
tap_check "start again" start_daemon gw1 "$XI_TMP/gw1.conf"
has_table "what is stale goes, what is somebody else's stays" "${before/throw/throw 10.97.0.0/16,throw}"
tap_is "a table of before is empty" "$(net_in gw1 ip route show table 777 2> /dev/null)" ""
tap_is "and no rule leads there" "$(net_in gw1 ip rule | grep -c 777)" 0
net_in gw1 ip route del throw 10.97.0.0/16 table 50051
tap_is "all others were taken over as they were" "$(figure changes)" 2
kill "${xi_pids["bg flood"]}"
grows "and carry on" $spi4 pings 198.51.100.1
capture_stop wan br
tap_is "nothing of it went in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" 'host 198.51.100.1 or host 10.3.0.5 or host 2001:db8:ffff::1 or host fd00:3::5')" 0

# Whatever is in the table, workers do not see it: neither for their next hops, nor what they send through the stack.
net_in gw1 ip route add 192.0.2.2 dev xipsec0 table 50051
tap_check "somebody leads the way to the peer to xipsec0" sh -c "nsenter --net=/run/netns/$XI_NS-gw1 ip route get 192.0.2.2 | grep -q 'dev xipsec0'"
net_in gw1 ip neigh flush dev wan0
grows "it makes no loop while the neighbour is not known" $spi4 pings 198.51.100.1
stop_daemon gw1
net_in gw1 ip neigh flush dev wan0
tap_check "start again" start_daemon gw1 "$XI_TMP/gw1.conf"
grows "nor for a daemon that knows nothing yet" $spi4 pings 198.51.100.1
tap_is "nothing came back" "$(gwctl gw1 xipsec stats | grep -c loop)" 0
net_in gw1 ip route del 192.0.2.2 dev xipsec0 table 50051

# the end
tap_check "policies go" gwctl gw1 xipsec xfrm policy flush
has_table "and their routes" ""
tap_is "the rules stay" "$(rules)" 12
{ tunnel_lines gw1 4 4; } | grep policy | load_lines gw1
has_table "policies come" "10.1.2.0/24 src 10.1.1.1"
stop_daemon gw1
has_table "a stopped daemon leaves them" "10.1.2.0/24 src 10.1.1.1"
sed -i 's/^routes = yes/routes = no/' "$XI_TMP/gw1.conf"
tap_check "start without routes" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_is "they are gone" "$(table) $(rules)" " 0"
stop_daemon gw1
sed -i 's/^routes = no/routes = 4000000000/' "$XI_TMP/gw1.conf"
tap_check "start with a table of another number" start_daemon gw1 "$XI_TMP/gw1.conf"
other() { net_in gw1 ip route show table 4000000000 2> /dev/null | grep -q '10.1.2.0/24 dev xipsec0.*src 10.1.1.1'; }
tap_check "they are there" wait_for 5 other
gwctl gw1 xipsec down > /dev/null
tap_is "xipsec down leaves no rule" "$(rules)" 0
tap_is "and no route" "$(net_in gw1 ip route show table 4000000000 2> /dev/null)" ""
tap_done
