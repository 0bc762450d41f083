#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# doc/conformance.md names tests that exist; and the check of that finds what is wrong.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/doc_check.sh

doc_check tests/lib/conformance.py doc/conformance.md 1..7 'line [0-9]'

# rows that the cases below change
here='unit/test_rfc4303: dummy_packets_are_no_errors'
shell='net/test_counted: a dummy packet is swallowed, and is no drop'
case='prog/test_cipher: esp / SPI 0'
prefix='interop/test_uml_ah: AH '

finds "a test that is not there" "not in the list of tests of tests/unit/test_rfc4303.c" "s@$here@&_at_all@"
finds "a test whose name only begins like that" "not in the list" "s@$here@${here%s}@"
finds "a test of another file" "not in the list" "s@$here@unit/test_esp: dummy_packets_are_no_errors@"
finds "a function that is no test" "not in the list" "s@$here@unit/test_rfc4303: expect_trailer@"
finds "a file that is not there" "no such file" "s@$here@unit/test_rfc9999: dummy_packets_are_no_errors@"
finds "a file of another layer" "no such file" "s@$here@prog/test_rfc4303: dummy_packets_are_no_errors@"
finds "a layer that is none" "no such file" "s@$here@daemon/test_rfc4303: dummy_packets_are_no_errors@"
finds "a text that no script has" "no test of that text in tests/net/test_counted.sh" "s@$shell@${shell}s@"
finds "a text that is part of one" "no test of that text" "s@$shell@${shell% drop}@"
finds "a case that is not in the table" "no case of that name in tests/prog/test_cipher.c" "s@$case@${case}0@"
finds "a prefix that generates nothing" "nothing in tests/interop/test_uml_ah.sh begins like that" "s@$prefix@${prefix}not @"
finds "a prefix of nothing" "nothing in .* begins like that" "s@$prefix\*@interop/test_uml_ah: *@"
finds "a test that is not named as tests are" "not of the form" "s@$here@dummy_packets_are_no_errors@"
finds "a test without backquotes" "not in backquotes" "s@\`$here\`@$here@"
finds "a requirement that is met without a test" "met, and no test shows it" "\@$shell@s@| \`.*\` |\$@|  |@"
finds "a status that is none" "status 'done'" "\@$shell@s@| met |@| done |@"
finds "a row without a status" "status ''" "\@$shell@s@| met |@|  |@"
finds "a level that is none" "level 'WILL'" "\@$shell@s@| MUST |@| WILL |@"
finds "what is not met without a reason" "does not say how" "/| not met |/s@| not met | [^|]* |@| not met | no |@"
finds "a row with a cell too few" "5 cells, not 6" "\@$shell@s@| met |@|@"
finds "a row twice" "the same as line" "\@$shell@p"
finds "an RFC without rows" "no requirements" "/^## RFC 6040/,/^## RFC 2983/{/^| [^s-]/d}"
finds "an RFC that is left out" "no requirements" "s@^## RFC 3948@## About 3948@"
finds "an RFC that is no matter of this" "RFC 9999" "\$a ## RFC 9999: of something else"
tap_done
