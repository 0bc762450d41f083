#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2016,SC2086
# timeout: 300
# SAs are deleted, replaced and rekeyed with packets in flight, as many as the gateway carries: nothing leaves in clear, nothing
# comes out wrong or twice, and every packet that is missing was counted once. The daemon runs under the sanitizers.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
FLOOD_TX=xsk
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq bpftool
XI_DAEMON=$XI_BUILD/asan/xipsecd
[ -x "$XI_DAEMON" ] || tap_skip_all "$XI_DAEMON is not built; make asan builds it"
export ASAN_OPTIONS=detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1

ROUNDS=${FLOOD_ROUNDS:-5}
# what is dropped holds the window up until the sender gives it up
LOAD="--seconds 250 --window 200 --patience 300"
NEWER=6                    # SAs that take over from the first one

stat_of() {
	gwctl gw1 xipsec stats -j | jq -r "$1"
}
# drops_but NAME...: all drops but those for these reasons
drops_but() {
	local sum r
	sum=$(stat_of .drops)
	for r; do
		sum=$((sum - $(reason "$r")))
	done
	echo "$sum"
}
grown() {
	[ "$(reason "$1")" -gt "$2" ]
}

# newer_spi I: number 0 is the tunnel's own
newer_spi() {
	printf '0x%x' $((0x1001 + $1 * 0x100))
}
newer_line() {
	local spi
	spi=$(newer_spi "$1")
	sa_lines 192.0.2.1 192.0.2.2 "$spi" "$(sa_key $((spi)))" replay-window 1024 "${@:2}" | sed "s/reqid [0-9]*/reqid $((0x1001))/"
}
newer_add() {
	newer_line "$@" | load_lines gw1
}
newer_update() {
	newer_line "$@" | sed 's/state add/state update/' | load_lines gw1
}
newer_delete() {
	gwctl gw1 xipsec xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi "$(newer_spi "$1")"
}
# --in for each of them but the first, which flood_args has
newer_args() {
	local i spi
	for ((i = 1; i <= NEWER; i++)); do
		spi=$(newer_spi $i)
		printf '%s\n' --in "$spi,$(sa_key $((spi))),192.0.2.1,192.0.2.2,0"
	done
}
seen() {
	[ "$(jq ".sa[] | select(.spi == $(($(newer_spi "$1")))) | .highest" "$XI_TMP/out.json")" -gt "${2:-0}" ]
}

# the newer SA takes over at once, and the old one goes with packets of its own in flight
rekey() {
	newer_add $(($1 + 1)) && newer_delete "$1" && wait_for 10 seen $(($1 + 1)) && flood_moves out 500
}
update_out() {
	local i
	for ((i = 1; i <= 8; i++)); do
		newer_update "$1" limit packet-soft $((1000000000 + i)) && flood_moves out 50 || return 1
	done
}
# away and back, with the key that it had: what is sent meanwhile has no SA
gap_out() {
	local before
	before=$(reason no_sa)
	newer_delete "$1" && wait_for 10 grown no_sa "$before" && newer_add "$1" && flood_moves out 500
}
# in one request after another, as fast as they go
swap_out() {
	local i
	for ((i = 0; i < 10; i++)); do
		echo "xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi $(newer_spi "$1")"
		newer_line "$1"
	done | load_lines gw1 && flood_moves out 500
}

in_spi=$(tunnel_spi 2 4 4)
in_line() {
	sa_lines 192.0.2.2 192.0.2.1 "$in_spi" "$(sa_key $((in_spi)))" replay-window 1024 "$@"
}
in_delete_line() {
	echo "xfrm state delete src 192.0.2.2 dst 192.0.2.1 proto esp spi $in_spi"
}
update_in() {
	local i
	for ((i = 1; i <= 8; i++)); do
		in_line limit packet-soft $((1000000000 + i)) | sed 's/state add/state update/' | load_lines gw1 &&
			flood_moves in 50 || return 1
	done
}
gap_in() {
	local before
	before=$(reason unknown_spi)
	in_delete_line | load_lines gw1 && wait_for 10 grown unknown_spi "$before" && in_line | load_lines gw1 && flood_moves in 500
}
swap_in() {
	local i
	for ((i = 0; i < 10; i++)); do
		in_delete_line
		in_line
	done | load_lines gw1 && flood_moves in 500
}
flush_in() {
	gwctl gw1 xipsec xfrm state flush && in_line | load_lines gw1 && flood_moves in 500
}

# counted LABEL DROPS-BEFORE: what is missing is what was dropped
counted() {
	local lost dropped
	lost=$(flood_count "$1" lost)
	dropped=$(($(stat_of .drops) - $2))
	echo "missing $lost, dropped $dropped"
	[ "$lost" = "$dropped" ] && [ "$lost" -gt 0 ] && flood_is '.ring_lost == 0' "$1"
}
clean() {
	! grep -A 30 -E 'Sanitizer|runtime error' "$XI_TMP/gw1.log"
}

flood_up
tap_check "SAs" flood_sas 4 4
tap_check "first packets" flood_warm 4 4

drops=$(stat_of .drops)
others=$(drops_but no_sa sa_gone)
mapfile -t newer < <(newer_args)
tap_check "a flood to encrypt" flood_bg out encrypt 4 4 $LOAD "${newer[@]}"
for ((round = 0; round < ROUNDS; round++)); do
	tap_check "round $((round + 1)): the SA is updated" update_out $round
	tap_check "it is deleted, and comes back" gap_out $round
	tap_check "it is deleted and comes back ten times in a row" swap_out $round
	tap_check "a newer SA takes over, and the old one is deleted" rekey $round
done
tap_check "the flood ends" flood_end out
tap_check "nothing came out in clear, wrong, or twice" flood_is '.clear == 0 and .wrong == 0 and .duplicates == 0 and .foreign == 0' out
tap_check "every packet that is missing was counted once" counted out "$drops"
tap_is "as one without an SA" "$(($(drops_but no_sa sa_gone) - others))" 0

drops=$(stat_of .drops)
others=$(drops_but unknown_spi sa_gone)
tap_check "a flood to decrypt" flood_bg in decrypt 4 4 $LOAD
for ((round = 0; round < ROUNDS; round++)); do
	tap_check "round $((round + 1)): the SA is updated" update_in
	tap_check "it is deleted, and comes back" gap_in
	tap_check "it is deleted and comes back ten times in a row" swap_in
	tap_check "all SAs are flushed, and it comes back" flush_in
done
tap_check "the flood ends" flood_end in
tap_check "nothing came out wrong, or twice" flood_is '.wrong == 0 and .duplicates == 0' in
tap_check "every packet that is missing was counted once" counted in "$drops"
tap_is "as one of an unknown SPI or a deleted SA" "$(($(drops_but unknown_spi sa_gone) - others))" 0

tap_comment "$(jq -c '[.sent, .lost, .pps]' "$XI_TMP/out.json" "$XI_TMP/in.json")"
tap_comment "$(stat_of '[.reasons | to_entries[] | select(.value > 0) | "\(.key)=\(.value)"] | join(" ")')"
tap_check "SIGTERM: exit status 0" stop_daemon gw1
tap_check "the sanitizers found nothing" clean
tap_done
