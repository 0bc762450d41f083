# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# What a demonstration says and does, in the namespaces of tests/lib/netns.sh. Source tap.sh and netns.sh first.
#
#   demo_begin NAME [LOG...]     needs root; LOG: what of $XI_TMP/gwN.LOG is shown when it fails
#   demo_up                      the topology, drawn and made
#   say WORD...                  a heading
#   run NAME CMD ARG...          shows a command, and runs it in that namespace
#   fail WORD...                 ends it

demo_begin() {
	demo_name=$1 demo_logs=("${@:2}")
	[ "$(id -u)" = 0 ] && return
	echo "make $demo_name: needs root, for network namespaces and BPF" >&2
	exit 1
}

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

run() {
	local name=$1
	shift
	echo "[$name] $ $*"
	net_in "$name" "$@"
}

fail() {
	echo "$demo_name: FAILED: $*" >&2
	tail -n 20 "${demo_logs[@]/#/$XI_TMP/gw1.}" "${demo_logs[@]/#/$XI_TMP/gw2.}" >&2
	exit 1
}

demo_up() {
	say "two hosts, two gateways and the network between them, each a namespace"
	sed -n '/^#     h1/,/^#   fd00:1::2/s/^# //p' tests/lib/netns.sh
	net_up || fail "namespaces"
}
