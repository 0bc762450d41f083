#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The runner itself, on made-up test files: what it counts, and what it must never take for a pass.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/tests/{lib,net,interop} "$tree/build/tests/unit"
cp tests/run.sh "$tree/tests/"

# fake PATH: a test file whose body is stdin
fake() {
	{ echo '#!/bin/bash'; cat; } > "$tree/$1"
	chmod +x "$tree/$1"
}

# run ARG...: the runner's last line and status
run() {
	out=$(env -u B "$tree/tests/run.sh" "$@" 2> /dev/null)
	rc=$?
	echo "$(tail -n 1 <<< "$out"), status $rc"
}

clear_fakes() {
	rm -f "$tree"/build/tests/unit/* "$tree"/tests/net/* "$tree"/tests/interop/*
}

tap_is "no test at all is a failure" "$(run)" "0 passed, 0 failed, 0 skipped, status 1"

fake build/tests/unit/test_one <<'E'
printf '1..2\nok 1 - a\nok 2 - b c # SKIP why\n'
E
fake tests/net/test_two.sh <<'E'
printf 'ok 1 - a\n1..1\n'
E
tap_is "passes and skips are counted" "$(run)" "2 passed, 0 failed, 1 skipped, status 0"
tap_is "a layer alone" "$(run net)" "1 passed, 0 failed, 0 skipped, status 0"
tap_is "a file alone" "$(run unit test_one)" "1 passed, 0 failed, 1 skipped, status 0"
tap_is "an unknown name runs nothing" "$(run test_nothing)" "0 passed, 0 failed, 0 skipped, status 1"
run > /dev/null
tap_check "one line a test, named after layer and file" grep -qx 'PASS net/test_two: a' <<< \
	"$(env -u B "$tree/tests/run.sh" 2> /dev/null)"

clear_fakes
fake build/tests/unit/test_groups <<'E'
printf '1..2\nok 1 - a\nnot ok 2 # SKIP b\n1..1\nok 1 - c\n'
E
tap_is "cmocka: several groups, a skip" "$(run)" "2 passed, 0 failed, 1 skipped, status 0"

clear_fakes
fake build/tests/unit/test_bad <<'E'
printf '1..2\nok 1 - a\nnot ok 2 - b\n'; exit 1
E
tap_is "a failed test counts once" "$(run)" "1 passed, 1 failed, 0 skipped, status 1"
tap_is "what failed is said once more before the count" "$(env -u B "$tree/tests/run.sh" 2> /dev/null | tail -n 2)" \
	$'FAIL unit/test_bad: b\n1 passed, 1 failed, 0 skipped'

clear_fakes
fake build/tests/unit/test_lies <<'E'
printf '1..1\nnot ok 1 - b\n'
E
tap_is "a failed test counts though its file ends with 0" "$(run)" \
	"0 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake build/tests/unit/test_status <<'E'
printf '1..1\nok 1 - a\n'; exit 3
E
tap_is "nonzero without a failed test is a failure" "$(run)" \
	"1 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake build/tests/unit/test_silent < /dev/null
tap_is "a silent file is a failure" "$(run)" "0 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake build/tests/unit/test_early <<'E'
printf 'ok 1 - a\n'
E
tap_is "an end before the plan is a failure" "$(run)" "1 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake build/tests/unit/test_short <<'E'
printf '1..3\nok 1 - a\n'
E
tap_is "fewer tests than planned is a failure" "$(run)" "1 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake tests/net/test_slow.sh <<'E'
# timeout: 1
printf '1..1\nok 1 - a\n'; sleep 30
E
tap_is "a timeout is a failure" "$(run)" "1 passed, 1 failed, 0 skipped, status 1"

clear_fakes
fake tests/interop/test_none.sh <<'E'
echo '1..0 # SKIP no scapy'
E
fake build/tests/unit/test_some <<'E'
printf '1..1\nok 1 - a\n'
E
tap_is "a file may skip itself" "$(run)" "1 passed, 0 failed, 1 skipped, status 0"
tap_is "only skips is no success" "$(run interop)" "0 passed, 0 failed, 1 skipped, status 1"

# -j: each of two files ends only if the other runs; a third asks to run alone
clear_fakes
rm -f "$tree"/here.*
meet() {
	cat <<- E
		# timeout: 20
		touch here.$1
		until [ -e here.$2 ]; do read -r -t 0.02 <> <(:); done
		printf '1..1\nok 1 - met\n'
		touch gone.$1
	E
}
meet one two | fake tests/net/test_one.sh
meet two one | fake tests/net/test_two.sh
fake tests/net/test_first.sh <<'E'
# alone
[ -e gone.one ] && [ -e gone.two ] && printf '1..1\nok 1 - alone\n'
E
tap_is "two at a time, and then one that measures" "$(run -j 2)" "3 passed, 0 failed, 0 skipped, status 0"
fake tests/interop/test_bad.sh <<'E'
printf '1..2\nok 1 - a\nnot ok 2 - b\n'
E
rm -f "$tree"/here.* "$tree"/gone.*
tap_is "each is counted, in whatever order they end" "$(run -j 3)" "4 passed, 1 failed, 0 skipped, status 1"
for j in 0 -1 x ''; do
	tap_is "-j '$j' is refused" "$(run -j "$j")" ", status 2"
done

# ended from outside, it takes the files with it
clear_fakes
fake tests/net/test_long.sh <<'E'
# timeout: 60
echo $$ > pid
printf '1..1\nok 1 - a\n'
exec sleep 60
E
env -u B "$tree/tests/run.sh" > /dev/null 2>&1 &
runner=$!
tap_check "a long one runs" wait_for 10 test -s "$tree/pid"
kill "$runner"
wait "$runner"
tap_is "it says that it was interrupted" $? 130
tap_check "and the file has ended" wait_for 5 test ! -e "/proc/$(cat "$tree/pid")"

tap_done
