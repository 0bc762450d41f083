#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `make demo-ike` shows what it says it shows, in under a minute.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump iperf3

SECONDS=0
tap_check "strongSwan on both gateways, counted alike by swanctl and xipsec" tests/net/demo_ike.sh
tap_check "in under a minute ($SECONDS s)" test "$SECONDS" -lt $((60 * ${XIPSEC_SLOW:-1}))
tap_done
