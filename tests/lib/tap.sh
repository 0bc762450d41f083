# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Test results in TAP (the Test Anything Protocol), and waiting without sleeping.
#
#   tap_ok NAME                    passed
#   tap_not_ok NAME [WHY...]       failed; WHY is shown as a comment
#   tap_skip NAME WHY              not run, and why
#   tap_check NAME CMD ARG...      run CMD, in this shell: passed when it returns 0, else its
#                                  output is shown
#   tap_is NAME GOT WANT           passed when the two strings are equal
#   tap_take                       takes over the results on stdin, in TAP too
#   tap_skip_all WHY               nothing in this file can run: says so and ends it
#   tap_done                       the last call: prints the plan, exits 1 when something failed
#   wait_for SECONDS CMD ARG...    poll CMD every 20 ms until it returns 0; 1 when time is up (XIPSEC_SLOW times as long)

tap_count=0
tap_failed=0

tap_comment() {
	local line
	while IFS= read -r line; do
		printf '# %s\n' "$line"
	done <<< "$*"
}

tap_ok() {
	printf 'ok %d - %s\n' $((++tap_count)) "$1"
}

tap_not_ok() {
	printf 'not ok %d - %s\n' $((++tap_count)) "$1"
	((++tap_failed))
	shift
	[ $# = 0 ] || tap_comment "$*"
}

tap_skip() {
	printf 'ok %d - %s # SKIP %s\n' $((++tap_count)) "$1" "$2"
}

tap_check() {
	local name=$1 log rc
	shift
	log=$(mktemp)
	"$@" > "$log" 2>&1
	rc=$?
	if [ $rc = 0 ]; then
		tap_ok "$name"
	else
		tap_not_ok "$name" "$* returned $rc"$'\n'"$(tail -n 40 "$log")"
	fi
	rm -f "$log"
	return $rc
}

tap_is() {
	if [ "$2" = "$3" ]; then
		tap_ok "$1"
	else
		tap_not_ok "$1" "got:    $2"$'\n'"wanted: $3"
		return 1
	fi
}

# Results of another program, numbered anew; its plan is left out.
tap_take() {
	local line
	while IFS= read -r line; do
		case $line in
		"ok "*) tap_ok "${line#ok * - }" ;;
		"not ok "*) tap_not_ok "${line#not ok * - }" ;;
		1..*) ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

tap_skip_all() {
	printf '1..0 # SKIP %s\n' "$1"
	exit 0
}

tap_done() {
	printf '1..%d\n' "$tap_count"
	exit $((tap_failed > 0))
}

# A read from a pipe that nobody writes to: a pause without a process.
exec {tap_pause}<> <(:)
wait_for() {
	local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000 * ${XIPSEC_SLOW:-1}))
	shift
	until "$@" > /dev/null 2>&1; do
		((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
		read -r -t 0.02 -u "$tap_pause" || :
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || tap_skip_all "needs root"
}

# need_tools TOOL...: skips the file when one of them is missing.
need_tools() {
	local t
	for t; do
		command -v "$t" > /dev/null || tap_skip_all "$t is not installed; run make deps"
	done
}
