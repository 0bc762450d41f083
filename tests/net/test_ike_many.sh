#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
# XI_TUNNELS (500) connections between two gateways, brought up at once; each carries traffic, in its own SAs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/ike_many.sh
need_root
need_ike
ike_many charon charon
