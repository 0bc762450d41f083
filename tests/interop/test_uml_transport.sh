#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 600
#
# ESP transport mode against Linux's own: each algorithm, both families, with and without ESN.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/peer.sh
. tests/lib/uml.sh
. tests/lib/uml_matrix.sh
need_root
need_tools ip ethtool jq

matrix_up
for esn in no-esn esn; do
	for family in 4 6; do
		matrix_group transport $family $family $esn plain < <(esp_rows)
	done
done
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
