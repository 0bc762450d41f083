#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# How programs get onto a port: by the operator (attach = none), by a pinned link, in the kernel's generic code (mode = skb),
# and not at all where somebody else's program is.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip ping tcpdump bpftool jq

net_up || tap_skip_all "cannot make network namespaces"
# ports_conf GW LINE: the standard configuration with a line more in every port's section
ports_conf() {
	local conf
	conf=$(gw_conf "$1")
	sed -i "/^role = /a $2" "$conf"
	echo "$conf"
}
pings() {
	net_in h1 ping -q -c 20 -i 0.002 -W 1 10.1.2.2 | grep "$1"
}
# name of the program on gw1's device
prog_name() {
	local id
	id=$(net_in gw1 ip -j link show dev "$1" | jq -r '.[0].xdp.prog.id // empty')
	[ -n "$id" ] && bpftool -j prog show id "$id" | jq -r .name
}
log_says() {
	grep -F -- "$1" "$XI_TMP/gw1.log"
}
carries() {
	capture_start wan br || return 1
	pings ' 0% packet loss' || return 1
	capture_stop wan br && only_esp "$XI_TMP/wan-br.pcap"
}
# as after another start by another configuration
restart() {
	: > "$XI_TMP/gw1.log"
	start_daemon gw1 "$1"
}
refused() {
	! XI_START_TIMEOUT=5 restart "$1"
}
load_gw1() {
	tunnel_lines gw1 4 4 | load_lines gw1
}
down() {
	gwctl gw1 xipsec down && [ -z "$(prog_name wan0)$(prog_name lan0)" ] && ! net_in gw1 ip link show | grep xdp
}

start_daemon gw2 || { tap_not_ok "daemon of gw2 starts"; tap_done; }
# no replay window: gw1 begins anew each time
tunnel_lines gw2 4 4 | load_lines gw2

# attach = none
tap_check "attach = none: starts and attaches nothing" restart "$(ports_conf gw1 'attach = none')"
tap_is "no program is on the ports" "$(prog_name wan0)$(prog_name lan0)" ""
tap_check "the log says what to run for the cipher port" \
	log_says "run 'ip link set dev wan0 xdpdrv pinned $XI_BPFFS/gw1/xdp_cipher'"
tap_check "and for the plain one" log_says "run 'ip link set dev lan0 xdpdrv pinned $XI_BPFFS/gw1/xdp_plain'"
load_gw1
run_what_it_says() {
	local cmd
	while read -r cmd; do
		# shellcheck disable=SC2086
		net_in gw1 $cmd || return 1
	done < <(sed -n "s/.*: run '\(ip link.*\)'.*/\1/p" "$XI_TMP/gw1.log")
}
tap_check "the operator runs that" run_what_it_says
tap_is "the programs are there" "$(prog_name wan0) $(prog_name lan0)" "xdp_cipher xdp_plain"
tap_check "and carry traffic" carries
tap_check "the daemon ends" stop_daemon gw1
tap_is "the operator's programs stay" "$(prog_name wan0) $(prog_name lan0)" "xdp_cipher xdp_plain"
tap_check "and hold traffic back" pings '100% packet loss'
tap_check "start again: says that new programs are to be attached" restart "$XI_TMP/gw1.conf"
tap_check "with -force, for the old ones are there" log_says "run 'ip -force link set dev wan0 xdpdrv pinned"
tap_check "the old programs carry traffic to the new daemon: the maps are the same" carries
tap_check "xipsec down takes the operator's programs away too" down

# attach = link
link_conf=$(ports_conf gw1 'attach = link')
tap_check "attach = link: starts" restart "$link_conf"
tap_is "the programs are there" "$(prog_name wan0) $(prog_name lan0)" "xdp_cipher xdp_plain"
tap_check "the links are pinned" test -e "$XI_BPFFS/gw1/link_wan0" -a -e "$XI_BPFFS/gw1/link_lan0"
load_gw1
tap_check "they carry traffic" carries
tap_check "nobody detaches them by accident" eval '! net_in gw1 ip link set dev wan0 xdp off'
tap_check "kill -9" kill_daemon gw1
before=$(net_in gw1 ip -j link show dev wan0 | jq .[0].xdp.prog.id)
tap_check "start again: takes the links over" restart "$link_conf"
tap_check "with new programs" test "$(net_in gw1 ip -j link show dev wan0 | jq .[0].xdp.prog.id)" -gt "$before"
tap_check "they carry traffic" carries
stop_daemon gw1
tap_check "attach = netlink is refused where a link holds the port" refused "$(gw_conf gw1)"
tap_check "and says what to do" log_says "run 'xipsec down' first, or set attach = link"
restart "$(ports_conf gw1 'attach = link')"
tap_check "xipsec down takes programs and links away" down
tap_check "without a complaint" eval '! log_says detach'

# mode = skb
tap_check "mode = skb: starts" restart "$(ports_conf gw1 'mode = skb')"
load_gw1
tap_is "generic XDP is on the ports" "$(net_in gw1 ip link show | grep -c xdpgeneric)" 2
tap_check "it carries traffic" carries
stop_daemon gw1
tap_check "mode = native is refused while the other mode is attached" refused "$(gw_conf gw1)"
tap_check "and says what to do" log_says "run 'xipsec down' first, or set mode = skb"
restart "$(ports_conf gw1 'mode = skb')"
tap_check "xipsec down takes the generic programs away" down

# somebody else's program
net_bg foreign gw1 "$XI_BUILD/tests/net/meta" watch wan0 xdp
wait_for 5 grep -q ready "$XI_TMP/foreign.log"
for attach in netlink link; do
	tap_check "attach = $attach: a port with somebody else's program is refused" refused "$(ports_conf gw1 "attach = $attach")"
	tap_check "the message names program and remedy" eval 'log_says "meta_watch_xdp" &&
		log_says "detach it ('"'ip link set dev wan0 xdp off'"') and start again"'
	tap_is "and the program is left alone" "$(prog_name wan0)" meta_watch_xdp
done
kill "${xi_pids["bg foreign"]}"
wait_for 5 process_gone "${xi_pids["bg foreign"]}"
tap_check "when it is gone, the daemon starts" restart "$(gw_conf gw1)"
tap_done
