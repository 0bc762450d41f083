#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2086
# timeout: 400
# No packet overtakes another across the switch between AF_XDP and burst: single packets, small batches and floods by
# turns, so that the worker changes from one to the other all the time.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq

SECONDS_EACH=${FLOOD_SECONDS:-3}
AT_LEAST=$((5000 / ${XIPSEC_SLOW:-1})) # packets compared

# ordered NAME WAY OUTER INNER [OPTION...]
ordered() {
	local name=$1 way=$2 outer=$3 inner=$4 dev=wan0
	shift 4
	[ "$way" = encrypt ] || dev=lan0
	tap_check "$name: nothing is out of order, doubled or wrong" flood_by_burst $dev 1000 \
		"$FLOOD_EXACT and .checked >= $AT_LEAST" "$way" "$outer" "$inner" --mix --flows 4 --seconds "$SECONDS_EACH" "$@" || return
	[ "$FLOOD_TX" != burst ] || tap_check "$name: AF_XDP sent as well" xsk_grew $dev 10
}

flood_up
tap_check "SAs, IPv4" flood_sas 4 4
tap_check "first packets" flood_warm 4 4
ordered "encrypt, XDP receiver" encrypt 4 4 $FLOOD_SPOIL
ordered "encrypt, receiver builds skbs" encrypt 4 4
ordered "decrypt, XDP receiver" decrypt 4 4 $FLOOD_SPOIL
ordered "decrypt, receiver builds skbs" decrypt 4 4
ordered "encrypt, not more under way than queues hold" encrypt 4 4 $FLOOD_LOSSLESS
tap_check "then none is lost" flood_is '.lost == 0'
tap_check "SAs, IPv6 in IPv4" flood_sas 4 6
ordered "encrypt, IPv6 in IPv4" encrypt 4 6 $FLOOD_SPOIL
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
