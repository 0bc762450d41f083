#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# SAs and policies of a mark, and of an interface (if_id): which SA a packet takes is told by SA counters,
# where it comes in by captures.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools tcpdump ping

net_up || tap_skip_all "cannot make network namespaces"
interfaces=("[interface ipsec1]" "if-id = 1" "[interface ipsec2]" "if-id = 0x2")
for gw in gw1 gw2; do
	n=${gw#gw}
	net_addr $gw lo "10.9.$n.1/32" "10.8.$n.1/32" "fd08:$n::1/128"
	start_daemon $gw "$(gw_conf $gw "${interfaces[@]}")" ||
		{ tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
done

# both GW DIRECTION SPI [OPTION...]: an SA, to gw1's and gw2's daemon
both() {
	local from=$1 spi=$2 gw
	shift 2
	for gw in gw1 gw2; do
		sa_lines "192.0.2.$from" "192.0.2.$((3 - from))" "$spi" "$(sa_key $((spi)))" "$@" | load_lines $gw || return 1
	done
}
policy() { # GW WORD...
	local gw=$1
	shift
	gwctl "$gw" xipsec xfrm policy add "$@"
}
# tmpl FROM [REQID]
tmpl() { echo "tmpl src 192.0.2.$1 dst 192.0.2.$((3 - $1)) proto esp mode tunnel ${2:+reqid $(($2))}"; }
sent() { gwip "$1" ip -s xfrm state | sa_packets "$2"; }
# pings GW [OPTION...]: five answers
pings() {
	local gw=$1
	shift
	nsenter --net="/run/netns/$XI_NS-$gw" /bin/ping -q -c 5 -i 0.01 -W 2 "$@" | grep ' 0% packet loss'
}
silent() {
	local gw=$1
	shift
	nsenter --net="/run/netns/$XI_NS-$gw" /bin/ping -q -c 3 -i 0.01 -W 1 "$@" | grep '100% packet loss'
}
# counts SPI N WORD...: gw1's SA carried so many packets more
counts() {
	local spi=$1 n=$2 before after
	shift 2
	before=$(sent gw1 "$spi")
	"$@" || return 1
	after=$(sent gw1 "$spi")
	[ $((after - before)) = "$n" ] || { echo "SA $spi: $before, then $after packets, not $n more"; return 1; }
}

# ---- marks ----
{
	both 1 0x1101 mark 1 && both 1 0x1102 mark 2 mask 0xf && both 2 0x1201
	for m in 1 2; do
		# shellcheck disable=SC2046
		policy gw1 src 10.9.1.0/24 dst 10.9.2.0/24 dir out mark $m mask 0xf $(tmpl 1)
	done
	# shellcheck disable=SC2046
	policy gw2 src 10.9.1.0/24 dst 10.9.2.0/24 dir in $(tmpl 1)
	# shellcheck disable=SC2046
	policy gw2 src 10.9.2.0/24 dst 10.9.1.0/24 dir out $(tmpl 2)
	# shellcheck disable=SC2046
	policy gw1 src 10.9.2.0/24 dst 10.9.1.0/24 dir in $(tmpl 2)
} > "$XI_TMP/setup.log" 2>&1
net_in gw1 ip route add 10.9.2.0/24 dev xipsec0 src 10.9.1.1
net_in gw2 ip route add 10.9.1.0/24 dev xipsec0 src 10.9.2.1

tap_is "two SAs, two policies" "$(gwip gw1 ip xfrm state | grep -c 'mark 0x[12]/0x'; gwip gw1 ip xfrm policy | grep -c 'mark 0x[12]/0xf')" $'2\n2'
capture_start wan br
tap_check "mark 1 takes its SA" counts 0x1101 5 pings gw1 -m 1 10.9.2.1
tap_check "mark 2 takes the other" counts 0x1102 5 pings gw1 -m 2 10.9.2.1
tap_check "a mark is looked at under its mask" counts 0x1102 5 pings gw1 -m $((0x72)) 10.9.2.1
tap_check "whatever else is in it" counts 0x1101 5 pings gw1 -m $((0x101)) 10.9.2.1
tap_check "behind xipsec0 a packet without a mark goes nowhere" silent gw1 10.9.2.1
tap_check "nor does one of another mark" silent gw1 -m 3 10.9.2.1
tap_is "and no SA carried them" "$(sent gw1 0x1101) $(sent gw1 0x1102)" "10 10"
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"

# the same by the guard of a cipher port, which sees the mark of what the host sends there
net_in gw1 ip route replace 10.9.2.0/24 via 192.0.2.2 dev wan0 src 10.9.1.1
capture_start wan br
tap_check "what is about to leave a port is protected by its mark" counts 0x1101 5 pings gw1 -m 1 10.9.2.1
tap_check "each by its own" counts 0x1102 5 pings gw1 -m 2 10.9.2.1
capture_stop wan br
tap_check "and all of it" only_esp "$XI_TMP/wan-br.pcap"
capture_start wan br
tap_check "what no policy wants protected: refused by the peer" silent gw1 -m 4 10.9.2.1
capture_stop wan br
tap_is "it leaves in clear, as the kernel has it" "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp and src 10.9.1.1')" 3

# an SA may be asked for by its mark alone
gone() { ! gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1101 "$@" 2> /dev/null; }
tap_check "no SA of that SPI without its mark" gone
tap_check "nor of another mark" gone mark 2
tap_check "but of its own" gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1101 mark 1
capture_start wan br
tap_check "fail closed: without its SA" silent gw1 -m 1 10.9.2.1
capture_stop wan br
tap_is "nothing leaves" "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp or esp')" 0

# the output mark of an SA is the mark that policies of in look at
in_marked() { # shellcheck disable=SC2046
	policy gw2 src 10.8.1.0/24 dst 10.8.2.0/24 dir in mark 7 mask 0xff $(tmpl 1) &&
		gwctl gw2 xipsec xfrm policy setdefault in block && both 1 0x1301 output-mark 0x7 mask 0xff &&
		policy gw1 src 10.8.1.0/24 dst 10.8.2.0/24 dir out $(tmpl 1 0x1301) &&
		policy gw2 src 10.8.2.0/24 dst 10.8.1.0/24 dir out $(tmpl 2) &&
		policy gw1 src 10.8.2.0/24 dst 10.8.1.0/24 dir in $(tmpl 2)
	net_in gw1 ip route add 10.8.2.0/24 dev xipsec0 src 10.8.1.1
	net_in gw2 ip route add 10.8.1.0/24 dev xipsec0 src 10.8.2.1
}
tap_check "a policy of in for a mark, and an SA that sets it" in_marked
tap_check "its packets come in" counts 0x1301 5 pings gw1 10.8.2.1
tap_check "the SA sets another mark" gwctl gw2 xipsec xfrm state update src 192.0.2.1 dst 192.0.2.2 proto esp \
	spi 0x1301 reqid $((0x1301)) mode tunnel aead 'rfc4106(gcm(aes))' "$(sa_key $((0x1301)))" 128 output-mark 0x8 mask 0xff
tap_check "then they do not, though they arrive" counts 0x1301 3 silent gw1 10.8.2.1
gwctl gw2 xipsec xfrm policy setdefault in accept

# the output mark of an SA is what the host's routing rules know its packets by: another way to the same peer, which ends
# at an address that is nobody's
away=02:00:00:00:55:09
set_mark_out() {
	gwctl gw1 xipsec xfrm state update src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1301 reqid $((0x1301)) mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(sa_key $((0x1301)))" 128 output-mark "$@"
}
# way PINGS OPTION...: packets that went away, and those that did not
way() {
	capture_start wan br esp
	silent gw1 "$@" > /dev/null
	capture_stop wan br
	echo "$(pcap_count "$XI_TMP/wan-br.pcap" "src 192.0.2.1 and ether dst $away") $(pcap_count "$XI_TMP/wan-br.pcap" "src 192.0.2.1 and not ether dst $away")"
}
net_in gw1 sh -c "ip neigh add 192.0.2.9 lladdr $away dev wan0 nud permanent && ip route add 192.0.2.2 via 192.0.2.9 dev wan0 table 55 &&
	ip rule add fwmark 0x55 table 55"
tap_is "the packet's own mark is none of a tunnel's" "$(way -m $((0x55)) 10.8.2.1)" "0 3"
tap_check "an SA with an output mark" set_mark_out 0x55
tap_is "goes by the rule for it, from its first packet on" "$(way 10.8.2.1)" "3 0"
tap_is "whatever mark is inside" "$(way -m 7 10.8.2.1)" "3 0"
tap_check "one that sets some bits" set_mark_out 0x50 mask 0xf0
tap_is "leaves others as they are" "$(way 10.8.2.1) $(way -m 5 10.8.2.1) $(way -m 6 10.8.2.1)" "0 3 3 0 0 3"
sent_dummies() {
	set_mark_out 0x55 && capture_start wan br esp && gwctl gw1 xipsec dummy -n 2 0x1301 && capture_stop wan br
	pcap_count "$XI_TMP/wan-br.pcap" "ether dst $away"
}
tap_is "dummy packets take its way" "$(sent_dummies | tail -1)" 2
# an SA in transport mode around it: the way is the tunnel's all the same
around() { # [OPTION...]: of that SA
	local act=add
	! gwip gw1 ip xfrm state get src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1311 > /dev/null 2>&1 || act=update
	gwctl gw1 xipsec xfrm state $act src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1311 reqid 25 mode transport \
		aead 'rfc4106(gcm(aes))' "$(sa_key $((0x1311)))" 128 "$@"
}
two_templates() { # shellcheck disable=SC2046
	set_mark_out 0x55 && around &&
		gwctl gw1 xipsec xfrm policy update src 10.8.1.0/24 dst 10.8.2.0/24 dir out $(tmpl 1 0x1301) \
			tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 25 mode transport
}
tap_check "an SA in transport mode around one with an output mark" two_templates
tap_is "they go by the tunnel's mark" "$(way 10.8.2.1) $(sent gw1 0x1311)" "3 0 3"
tap_check "a tunnel that sets some bits, in an SA with a mark" eval 'set_mark_out 0x50 mask 0xf0 && around output-mark 0x55'
tap_is "that of transport mode says nothing" "$(way 10.8.2.1) $(way -m 5 10.8.2.1)" "0 3 3 0"
net_in gw1 ip rule del fwmark 0x55
tap_is "a rule that goes is followed" "$(way 10.8.2.1)" "0 3"
net_in gw1 ip neigh del 192.0.2.9 dev wan0

# ---- interfaces ----
# route based: policies for everything, by if_id; two tunnels between the same gateways
for gw in gw1 gw2; do
	gwctl $gw xipsec xfrm policy flush
	gwctl $gw xipsec xfrm state flush
done
route_based() {
	local i gw n v
	for i in 1 2; do
		both 1 0x140$i if_id $i flag af-unspec || return 1
		both 2 0x150$i if_id $i flag af-unspec || return 1
		for gw in gw1 gw2; do
			n=${gw#gw}
			for v in 0.0.0.0/0 ::/0; do
				# shellcheck disable=SC2046
				policy $gw src $v dst $v dir out if_id $i $(tmpl "$n") &&
					policy $gw src $v dst $v dir in if_id $i $(tmpl $((3 - n))) &&
					policy $gw src $v dst $v dir fwd if_id $i $(tmpl $((3 - n))) || return 1
			done
		done
	done
	for gw in gw1 gw2; do
		n=${gw#gw}
		net_in $gw ip route del 10.8.$((3 - n)).0/24
		net_in $gw ip route replace 10.1.$((3 - n)).0/24 dev ipsec1
		net_in $gw ip route replace 10.9.$((3 - n)).0/24 dev ipsec2 src 10.9.$n.1
		net_in $gw ip -6 route replace fd08:$((3 - n))::/64 dev ipsec2 src fd08:$n::1
	done
}
tap_check "two interfaces, each with SAs and policies for everything" route_based
shown() { gwctl gw1 xipsec show | grep '^  interface'; }
tap_is "both are shown" "$(shown)" $'  interface: ipsec1, if_id 0x1, up\n  interface: ipsec2, if_id 0x2, up'
capture_start wan br
capture_start gw2 ipsec1 icmp
capture_start gw2 ipsec2 icmp
capture_start gw2 xipsec0 icmp
tap_check "from network to network by one" counts 0x1401 5 pings h1 10.1.2.2
tap_check "from host to host by the other" counts 0x1402 5 pings gw1 10.9.2.1
tap_check "IPv6 inside" counts 0x1402 5 pings gw1 -6 fd08:2::1
tap_check "and the way back by its own" [ "$(sent gw1 0x1501) $(sent gw1 0x1502)" = "5 10" ]
for dev in ipsec1 ipsec2 xipsec0; do capture_stop gw2 $dev; done
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"
tap_is "one receives its own" "$(pcap_count "$XI_TMP/gw2-ipsec1.pcap" 'dst 10.1.2.2') of $(pcap_count "$XI_TMP/gw2-ipsec1.pcap")" "5 of 5"
tap_is "so does the other" "$(pcap_count "$XI_TMP/gw2-ipsec2.pcap" 'dst 10.9.2.1') of $(pcap_count "$XI_TMP/gw2-ipsec2.pcap")" "5 of 5"

tcp_between() {
	rm -f "$XI_TMP/got"
	head -c 3000000 /dev/urandom > "$XI_TMP/blob"
	net_bg sink gw2 timeout 20 sh -c "nc -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in gw2 sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in gw1 timeout 20 nc -N 10.9.2.1 7000 < "$XI_TMP/blob" || return 1
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}
tap_check "TCP, whose segments the host's stack leaves to devices" tcp_between

capture_start wan br
net_in gw1 ip route replace 10.9.2.0/24 dev ipsec1 src 10.9.1.1
tap_check "the route chooses" counts 0x1401 5 pings gw1 10.9.2.1
# what comes through an SA of one interface is not let in by the other's policies
gwctl gw2 xipsec xfrm policy delete src 0.0.0.0/0 dst 0.0.0.0/0 dir in if_id 1
tap_check "without the interface's policy of in it is not let in" counts 0x1401 3 silent gw1 10.9.2.1
net_in gw1 ip route replace 10.9.2.0/24 dev xipsec0 src 10.9.1.1
tap_check "behind xipsec0 no policy of an interface wants it" silent gw1 10.9.2.1
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"
net_in gw1 ip route replace 10.9.2.0/24 dev ipsec2 src 10.9.1.1

# the program that tells workers where a packet comes from was taken away: nobody knows whose policies are its
net_in gw1 tc qdisc del dev xipsec0 clsact
capture_start wan br
tap_check "fail closed: without tc_host nothing goes by an interface" counts 0x1402 0 silent gw1 10.9.2.1
tap_check "nor by another" counts 0x1401 0 silent h1 10.1.2.2
capture_stop wan br
tap_is "nothing leaves" "$(pcap_count "$XI_TMP/wan-br.pcap" 'icmp or esp')" 0

index() { net_in gw1 ip -o link show ipsec1 | cut -d: -f1; }
before=$(index)
capture_start wan br
tap_check "kill -9 of the daemon" kill_daemon gw1
tap_check "fail closed: nothing goes by an interface" silent gw1 10.9.2.1
tap_check "the next one starts" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_is "it has adopted the devices" "$(index)" "$before"
tap_check "with their routes" pings gw1 10.9.2.1
tap_check "both of them" pings h1 10.1.2.2
tap_check "an SA is deleted" gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1402
tap_check "fail closed: without it nothing leaves" silent gw1 10.9.2.1
tap_check "the other interface goes on" pings h1 10.1.2.2
capture_stop wan br
tap_check "only ESP on the wire" only_esp "$XI_TMP/wan-br.pcap"

stop_daemon gw1
# as a start that was cut short leaves it
net_in gw1 sh -c 'ip link set ipsec1 down arp on && echo 1 > /proc/sys/net/ipv6/conf/ipsec1/accept_ra'
tap_check "devices that were not finished" start_daemon gw1 "$XI_TMP/gw1.conf"
finished() {
	net_in gw1 ip -o link show ipsec1 | grep -q 'NOARP,UP' && net_in gw1 sh -c \
		'cd /proc/sys/net && cat ipv6/conf/ipsec1/accept_ra ipv4/conf/ipsec1/disable_policy ipv4/conf/ipsec1/disable_xfrm'
}
tap_is "are" "$(finished)" $'0\n1\n1'

stop_daemon gw1
sed -i 's/^if-id = 0x2/if-id = 0x3/' "$XI_TMP/gw1.conf"
tap_check "an interface of another number" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_is "is shown" "$(shown | tail -1)" "  interface: ipsec2, if_id 0x3, up"
tap_is "is another device" "$(net_in gw1 ip -o link show type veth | grep -o 'xipsec-[0-9]*@ipsec[12]' | sort | xargs)" "xipsec-1@ipsec1 xipsec-3@ipsec2"
# in another namespace the index of xipsec0 may be that of any device
host=$(net_in gw1 cat /sys/class/net/xipsec0/ifindex)
net_in h1 ip link add leak0 index "$host" type veth peer name leak1
net_in h1 sh -c 'ip link set leak0 up && ip link set leak1 up'
net_in gw1 ip link set ipsec1 netns "$XI_NS-h1"
tap_is "one that is taken away" "$(shown | head -1)" "  interface: ipsec1, if_id 0x1, the device is gone"
net_in h1 sh -c 'ip link set ipsec1 up && ip route add 10.77.0.0/24 dev ipsec1'
tap_is "an interface in another namespace, where the index of xipsec0 is somebody else's" "$(net_in h1 cat /sys/class/net/leak0/ifindex)" "$host"
capture_start h1 leak1
tap_check "it reaches nobody there" silent h1 10.77.0.1
capture_stop h1 leak1
tap_is "nor does anything leave by the device of that index" "$(pcap_count "$XI_TMP/h1-leak1.pcap" icmp)" 0

tap_check "xipsec down" gwctl gw1 xipsec down
tap_is "takes them away" "$(net_in gw1 ip -o link show type veth | grep -c ipsec)" 0
tap_done
