#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 600
#
# ESP in UDP (RFC 3948) against Linux's own: each algorithm, tunnel and transport mode, all combinations of families, with and
# without ESN.
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
	for outer in 4 6; do
		for inner in 4 6; do
			matrix_group tunnel $outer $inner $esn udp < <(esp_rows)
		done
	done
done
for esn in no-esn esn; do
	for family in 4 6; do
		matrix_group transport $family $family $esn udp < <(esp_rows)
	done
done
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
