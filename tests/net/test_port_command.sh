#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `xipsec port` says of a running gateway: its ports, how packets leave by them, and what was counted.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
XI_QUEUES=2
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ethtool ip jq

net_up wan gw1 gw2 h1 || tap_skip_all "cannot make network namespaces"
conf=$(gw_conf gw1)
sed -i '/^role = cipher/a tx = xsk' "$conf"
start_daemon gw1 "$conf" || { tap_not_ok "daemon starts" "$(tail "$XI_TMP/gw1.log")"; tap_done; }
tunnel_lines gw1 | load_lines gw1

# port FILTER [NAME]: of the JSON
port() {
	gwctl gw1 xipsec port -j "${@:2}" | jq -r "$1"
}
# sent: packets that left by wan0, whatever the path
sent() {
	port '.ports[0].tx | .burst_packets - .burst_lost + .xsk_packets' wan0
}
sent_is() {
	[ "$(sent)" = "$1" ]
}
# ethtool_sum DEV NAME: over the queues
ethtool_sum() {
	net_in gw1 ethtool -S "$1" | awk -v name="_$2:" '$1 ~ name "$" { sum += $2 } END { print sum + 0 }'
}
# refuses NAME: exit status 1, nothing on stdout, and what there is on stderr
refuses() {
	local out
	out=$(gwctl gw1 xipsec port "$@" 2> "$XI_TMP/refused")
	[ $? = 1 ] && [ -z "$out" ] &&
		grep -qx "xipsec: port: nope0: no port of this name: there are xipsec0-p, wan0, lan0" "$XI_TMP/refused" && return
	echo "$out"
	cat "$XI_TMP/refused"
	return 1
}

tap_is "all ports" "$(port '[.ports[] | .name + " " + .role] | join(", ")')" "xipsec0-p host, wan0 cipher, lan0 plain"
tap_is "what a port is" "$(port '.ports[0] | [.name, .role, .mode, .attach, .queues, .mtu, .packet_max, .ifindex] | join(" ")' wan0)" \
	"wan0 cipher native netlink 2 1600 3500 $(net_in gw1 ip -j link show dev wan0 | jq '.[0].ifindex')"
tap_is "one port alone" "$(port '.ports | length' lan0)" 1
tap_is "what was configured" "$(port '[.ports[].tx.configured] | join(" ")')" "auto xsk auto"
tap_is "tx = xsk is kept to" "$(port '.ports[0].tx | [.path, .zerocopy, .paused, .burst_packets, .pauses] | join(" ")' wan0)" \
	"xsk false false 0 0"
tap_check "tx = auto comes to one of the two" eval 'port ".ports[0].tx.path" lan0 | grep -qxE "burst|xsk"'
tap_check "the last word in whatever order" eval '[ "$(gwctl gw1 xipsec port wan0 -j | jq -r ".ports[0].name")" = wan0 ]'

# the neighbour of gw1 becomes known on the way; replies there are none, for gw2 has no SA
wan_known() {
	net_in h1 ping -q -c 1 -W 0.2 10.1.2.2
	[ "$(sent)" -gt 0 ]
}
tap_check "packets leave by wan0" wait_for 20 wan_known
before=$(sent)
net_in h1 ping -q -c 20 -i 0.01 -W 0.2 10.1.2.2 > /dev/null
tap_check "and each is counted once, whichever worker sent it" wait_for 10 sent_is $((before + 20))
for dev in wan0 lan0; do
	tap_is "$dev's own counters are those of ethtool" \
		"$(port '.ports[0].device | [.xdp_xmit, .xdp_xmit_errors] | join(" ")' $dev)" \
		"$(ethtool_sum $dev xdp_xmit) $(ethtool_sum $dev xdp_xmit_errors)"
done

text=$(gwctl gw1 xipsec port wan0)
tap_check "for people: the port" grep -qx 'port: wan0, cipher, native, attach netlink, 2 queues, mtu 1600, packets up to 3500' <<< "$text"
tap_check "for people: the path" grep -qx '  transmit: xsk, copying, configured xsk' <<< "$text"
tap_check "for people: what was sent" grep -qx "  sent: 0 by burst, 0 of them lost, $((before + 20)) by xsk, 0 pauses" <<< "$text"
tap_is "for people: a block for each" "$(gwctl gw1 xipsec port | grep -c '^port: ')" 3
tap_is "for people: why, in full" "$(gwctl gw1 xipsec port | sed -n 's/^  why: //p')" \
	"$(port '.ports[].tx.why | select(. != "")')"
tap_check "an unknown name" refuses nope0
tap_check "an unknown name, as JSON" refuses -j nope0

net_in gw1 ip link del wan0
gone() {
	grep -q 'port wan0: the device is gone' "$XI_TMP/gw1.log"
}
tap_check "a port whose device is gone" wait_for 10 gone
tap_is "is listed without the device's counters" "$(port '.ports[0] | [.name, .ifindex, .device] | @json' wan0)" '["wan0",0,null]'
tap_check "the gateway stops cleanly" stop_daemon gw1
tap_done
