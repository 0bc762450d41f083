#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 600
#
# A transport SA inside a tunnel SA, against Linux's own: ESP and AH in each order, all combinations of families, with and
# without ESN.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/uml_matrix.sh

matrix_up
matrix_sweep bundle plain bundle_rows
matrix_down
