#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 600
#
# AH against Linux's own: each algorithm, tunnel and transport mode, all combinations of families, with and without ESN.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/uml_matrix.sh

matrix_up
matrix_sweep tunnel plain ah_rows
matrix_sweep transport plain ah_rows
matrix_down
