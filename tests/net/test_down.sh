#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `xipsec down` takes everything away, whatever way it was attached, and from devices that are no
# ports any more: a program left behind would drop whatever its policy does not let pass.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
need_tools tc

net_up wan gw1 h1 || tap_skip_all "cannot make network namespaces"

attached() {
	net_in gw1 ip link show "$1" | grep -q 'prog/xdp'
}
guarded() {
	net_in gw1 tc filter show dev "$1" egress | grep -q tc_guard
}
clean() {
	local dev
	for dev in wan0 lan0; do
		if attached $dev || guarded $dev; then
			net_in gw1 ip link show $dev
			return 1
		fi
	done
}
# with SETTING: both ports carry it; down once by the daemon, once without one
goes_down() {
	local conf way
	for way in daemon none; do
		conf=$(gw_conf gw1)
		sed -i "/^role/a $1" "$conf"
		start_daemon gw1 "$conf" && attached wan0 && attached lan0 && guarded wan0 || return 1
		[ $way = daemon ] || stop_daemon gw1 || return 1
		gwctl gw1 xipsec down || return 1
		[ $way = none ] || wait_for 10 process_gone "$(daemon_pid gw1)" || return 1
		clean || return 1
	done
}
no_port_any_more() {
	start_daemon gw1 && stop_daemon gw1 || return 1
	sed '/^\[port lan0\]/,+1d' "$(gw_conf gw1)" > "$XI_TMP/less.conf"
	start_daemon gw1 "$XI_TMP/less.conf" && attached lan0 || return 1
	gwctl gw1 xipsec down && wait_for 10 process_gone "$(daemon_pid gw1)" && clean
}
# a daemon's ports keep their programs when somebody names another run directory, or none
another_run_dir() {
	start_daemon gw1 || return 1
	if net_in gw1 "$XI_BUILD/xipsec" --run-dir "$XI_TMP/elsewhere" down 2> "$XI_TMP/err"; then return 1; fi
	grep -q "name its run directory with --run-dir" "$XI_TMP/err" || { cat "$XI_TMP/err"; return 1; }
	attached wan0 && attached lan0 && guarded wan0 && gwctl gw1 xipsec down &&
		wait_for 10 process_gone "$(daemon_pid gw1)" && clean
}
nothing_pinned() {
	if net_in gw1 "$XI_BUILD/xipsec" --run-dir "$XI_TMP/elsewhere" --pin-dir "$XI_BPFFS/none" down 2> "$XI_TMP/err"; then return 1; fi
	grep "nothing is pinned here" "$XI_TMP/err"
}
tap_check "native mode" goes_down 'mode = native'
tap_check "skb mode" goes_down 'mode = skb'
tap_check "attached by links" goes_down 'attach = link'
tap_check "a device that is no port any more" no_port_any_more
tap_check "not of a daemon that runs elsewhere" another_run_dir
tap_check "where nothing is pinned, it says so and fails" nothing_pinned
tap_done
