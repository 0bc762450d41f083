#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# alone
# shellcheck disable=SC2086
# timeout: 400
# Burst transmit is exact: every packet of millions, mixed sizes at full rate, is compared byte for byte with what was
# sent; none comes twice or out of order. The receivers: an XDP program that spoils the frames that it drops, which come
# back to the sender with other lengths and bytes, and NAPI with GRO, which builds skbs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. tests/lib/flood.sh
need_root
need_tools ip ethtool jq

SIZES=64-1400,1401,1440,1470,1487,1497,1498,1499,1500
COUNT=${FLOOD_COUNT:-400000} SECONDS_EACH=${FLOOD_SECONDS:-4}
checked=0 took=0

# What a receiver did to a frame shows most when the next packet in it has the very same length.
one_size() {
	exact "encrypt, all of $1 bytes, receiver spoils" encrypt 4 4 $FLOOD_SPOIL --sizes "$1-$1" --seconds 1
}

# exact NAME WAY OUTER INNER [OPTION...]
exact() {
	local name=$1 way=$2 outer=$3 inner=$4 dev=wan0
	shift 4
	[ "$way" = encrypt ] || dev=lan0
	tap_check "$name: by burst, every packet that arrives is the one that was sent, once, in its order" \
		flood_by_burst $dev 5000 "$FLOOD_EXACT and .checked >= 5000" "$way" "$outer" "$inner" --sizes $SIZES \
		--seconds "$SECONDS_EACH" --count "$COUNT" "$@" || return
	[ "$FLOOD_TX" != burst ] || tap_comment "$(burst_grew $dev 0) of $(jq .sent "$XI_TMP/flood.json") sent"
	checked=$((checked + $(jq .checked "$XI_TMP/flood.json")))
	took=$(jq ".seconds + $took" "$XI_TMP/flood.json")
}

flood_up
for family in 4 6; do
	tap_check "SAs, IPv$family" flood_sas $family $family
	tap_check "IPv$family: first packets" flood_warm $family $family
	exact "encrypt, IPv$family, receiver spoils" encrypt $family $family $FLOOD_SPOIL
	tap_check "the receiver spoiled a good part" flood_is '.spoiled > .sent / 5'
	exact "encrypt, IPv$family, receiver builds skbs" encrypt $family $family
	exact "decrypt, IPv$family, receiver spoils" decrypt $family $family $FLOOD_SPOIL
	exact "decrypt, IPv$family, receiver builds skbs" decrypt $family $family
	exact "encrypt, IPv$family, not more under way than queues hold" encrypt $family $family $FLOOD_SPOIL $FLOOD_LOSSLESS \
		--count 100000
	tap_check "IPv$family: then none is lost" flood_is '.lost == 0'
done
tap_check "SAs for packets of one size" flood_sas 4 4
for size in 64 700 1500; do
	one_size $size
done
tap_comment "$checked packets compared in $took s"
for drop in icv_bad replay replay_old crypto_error worker_meta worker_malformed; do
	tap_is "no packet was dropped: $drop" "$(reason $drop)" 0
done
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
