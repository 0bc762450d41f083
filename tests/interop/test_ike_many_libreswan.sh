#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
# Many connections at once between two of libreswan's pluto.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
. tests/lib/ike_peer.sh
. tests/lib/libreswan.sh
. tests/lib/ike_many.sh
need_root
need_libreswan
ike_many pluto pluto
