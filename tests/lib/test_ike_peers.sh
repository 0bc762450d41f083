#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# doc/ike-peers.md names tests that exist, for each peer and feature; and the check of that finds what is wrong.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/doc_check.sh

doc_check tests/lib/ike_peers.py doc/ike-peers.md 1..6 '^#'

here='net/test_ike_auth: a pre-shared key'
case='net/test_ike_algorithms: $proposal ($proto) / gcm128'
prefix='interop/test_ike_uml_life: rekeying: each end its own'

finds "a test that is not there" "PSK: .*no test of that text in tests/net/test_ike_auth.sh" "s@$here@&s@"
finds "a test of another file" "no test of that text" "s@$here@net/test_ike_nat: a pre-shared key@"
finds "a file that is not there" "no such file" "s@$here@net/test_ike_none: a pre-shared key@"
finds "a case that is not there" "no case of that name in tests/net/test_ike_algorithms.sh" "s@${case//\$/\\\$}@&0@"
finds "a case of another test" "no test of that text" "s@${case//\$/\\\$}@net/test_ike_auth: a key / gcm128@"
finds "a prefix that begins nothing" "nothing in tests/interop/test_ike_uml_life.sh begins like that" "s@$prefix@${prefix}s@"
finds "a feature that a peer lacks" "linux: ESN: not there" "/^## linux/,/^## libreswan/{/^| ESN /d}"
finds "a feature twice" "mixed: PSK: twice" "/^## mixed/,\${/^| PSK /p}"
finds "a feature that is none" "mixed: tea: not a feature" "/^## mixed/,\${s/^| PSK /| tea /}"
finds "a feature without a test" "PSK: yes, and no test shows it" "\@$here@s@| \`.*\` |\$@|  |@"
finds "one that is not there, without a reason" "does not say why not" 's@| no | kernel-libipsec has [^|]* |@| no |  |@'
finds "an overview that says something else" "ESN: the overview says 'yes'" '1,/^## /s@^| ESN | yes | no |@| ESN | yes | yes |@'
finds "an overview without a feature" "the overview says None" '1,/^## /{/^| NAT-T /d}'
finds "a peer without a section" "mixed: PSK: not there" 's/^## mixed/## mixed up/'
finds "a section that is no peer" "mixed up: not in the overview" 's/^## mixed/## mixed up/'
tap_done
