#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs the tests and counts them.
#
#   tests/run.sh                     every layer
#   tests/run.sh unit net            these layers
#   tests/run.sh net test_demo       files of this name (shell patterns allowed) in these layers
#   tests/run.sh -j 2 ...            two files at a time
#
# A test file speaks TAP on stdout. It fails as a file, which counts as one failure, when it runs
# into its timeout, ends nonzero without a "not ok", reports no test, or reports fewer than it
# planned. A script may ask for its own timeout: a line "# timeout: SECONDS" among its first ten. One
# that measures asks for the machine: a line "# alone" there; it runs when no other does.
# Layer vm boots one virtual machine for all of its files, and one for those that want systemd in it, and
# nothing runs beside those: emulation is slow enough. What failed is said once more at the end.
#
# XIPSEC_SLOW=N in the environment: this machine is N times as slow as most, so timeouts are as much longer.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

B=${B:-build}
LAYERS="unit prog interop net vm"
declare -A TIMEOUT=([unit]=60 [prog]=120 [interop]=180 [net]=180 [vm]=120)
FAIL_LINES=60

jobs=1
while getopts j: o; do
	case $o in
	j) jobs=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[[ $jobs =~ ^[1-9][0-9]?$ ]] || { echo "run.sh: -j takes 1 to 99, not $jobs" >&2; exit 2; }

passed=0 failed=0 skipped=0
failures=()
declare -A running=() started=() # process id -> layer and file, or layer vm and a directory; -> microseconds
layers=() patterns=()
for arg; do
	case " $LAYERS " in
	*" $arg "*) layers+=("$arg") ;;
	*) patterns+=("${arg%.sh}") ;;
	esac
done
[ ${#layers[@]} -gt 0 ] || read -r -a layers <<< "$LAYERS"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'end_all; exit 130' INT TERM HUP
export CMOCKA_MESSAGE_OUTPUT=TAP

# list_files LAYER: its test files that the patterns select, one a line
list_files() {
	local f name p
	case $1 in
	unit) set -- "$B"/tests/unit/test_* tests/lib/test_*.sh ;;
	prog) set -- "$B"/tests/prog/test_* tests/prog/test_*.sh ;;
	vm) set -- vmtest/test_*.sh ;;
	*) set -- tests/"$1"/test_*.sh ;;
	esac
	for f; do
		if [ -d "$f" ] || [ "${f%.d}" != "$f" ]; then
			continue
		fi
		name=$(file_name "$f")
		if [ ${#patterns[@]} = 0 ]; then
			echo "$f"
			continue
		fi
		for p in "${patterns[@]}"; do
			# shellcheck disable=SC2053
			[[ $name == $p ]] && echo "$f" && break
		done
	done
}

file_name() {
	local name=${1##*/}
	echo "${name%.sh}"
}

file_timeout() {
	local seconds=
	case $2 in
	*.sh) seconds=$(sed -n '1,10s/^# timeout: *\([0-9][0-9]*\)$/\1/p' "$2") ;;
	esac
	echo $((${seconds:-${TIMEOUT[$1]}} * ${XIPSEC_SLOW:-1}))
}

# judge_file LAYER/NAME STATUS OUT ERR SECONDS: prints and counts the results of one file
judge_file() {
	local file=$1 status=$2 out=$3 err=$4 seconds=$5
	local line name planned=-1 seen=0 bad=0 why=

	while IFS= read -r line; do
		case $line in
		1..*)
			((planned < 0)) && planned=0
			name=${line#1..}
			((planned += 10#${name%%[!0-9]*}))
			[[ $line == "1..0"*"#"* ]] && count_skip "$file" "${line#*# SKIP }"
			;;
		"ok "* | "not ok "*)
			((++seen))
			name=${line#not }
			name=${name#ok }
			name=${name##+([0-9])?( )?(- )}
			case $line in
			*"# SKIP"*) count_skip "$file" "$name" ;;
			"ok "*)
				echo "PASS $file: $name"
				((++passed))
				;;
			*)
				count_failure "$file: $name"
				((++bad))
				;;
			esac
			;;
		esac
	done < <(tr -d '\000\r' < "$out")

	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		why="ran into its timeout or was killed (status $status)"
	elif [ "$status" != 0 ] && [ $bad = 0 ]; then
		why="ended with status $status without a failed test"
	elif [ $planned -lt 0 ]; then
		why="printed no plan: no test ran, or it ended early"
	elif [ $planned -gt $seen ]; then
		why="planned $planned tests and reported $seen"
	fi
	if [ -n "$why" ]; then
		count_failure "$file: $why"
		((++bad))
	fi
	if [ $bad -gt 0 ]; then
		echo "---- last lines of $file"
		{
			tail -n $FAIL_LINES "$out"
			[ ! -s "$err" ] || tail -n $FAIL_LINES "$err"
		} | tr -d '\000' | sed 's/^/     /' | tail -n $FAIL_LINES
	fi
	echo "     $file: $seconds s"
}

count_failure() {
	echo "FAIL $1"
	failures+=("$1")
	((++failed))
}

count_skip() {
	echo "SKIP $1: ${2#\# SKIP }"
	((++skipped))
}

now_us() {
	echo "${EPOCHREALTIME/[.,]/}"
}

seconds_since() {
	local us=$(($(now_us) - $1))
	printf '%d.%02d' $((us / 1000000)) $((us / 10000 % 100))
}

# start_file LAYER FILE: when there is room; its output lies in $work/LAYER-NAME.*
start_file() {
	local layer=$1 f=$2 at
	at=$work/$layer-$(file_name "$f")
	make_room
	timeout -k 10 "$(file_timeout "$layer" "$f")" "./$f" < /dev/null > "$at.out" 2> "$at.err" &
	running[$!]="$layer $f"
	started[$!]=$(now_us)
}

# All files in one boot, or two. vmtest/run_tests leaves NAME.out, .err, .rc and .time for each in a
# directory.
start_vm() {
	mkdir -p "$work/vm"
	vm_files=("$@")
	make_room
	timeout -k 10 14400 vmtest/run_tests "$work/vm" "$@" &
	running[$!]=vm
	started[$!]=$(now_us)
}

make_room() {
	while ((${#running[@]} >= jobs)); do
		end_one
	done
}

end_each() {
	while [ ${#running[@]} -gt 0 ]; do
		end_one
	done
}

# waits for one to end, and judges it
end_one() {
	local pid status layer f seconds
	wait -n -p pid "${!running[@]}"
	status=$?
	read -r layer f <<< "${running[$pid]}"
	seconds=$(seconds_since "${started[$pid]}")
	unset "running[$pid]" "started[$pid]"
	if [ "$layer" = vm ]; then
		judge_vm "$seconds"
	else
		judge_file "$layer/$(file_name "$f")" $status "$work/$layer-$(file_name "$f")".{out,err} "$seconds"
	fi
}

judge_vm() {
	local f name
	for f in "${vm_files[@]}"; do
		name=$(file_name "$f")
		touch "$work/vm/$name.out" "$work/vm/$name.err"
		judge_file "vm/$name" "$(cat "$work/vm/$name.rc" 2> /dev/null || echo 125)" \
			"$work/vm/$name.out" "$work/vm/$name.err" "$(cat "$work/vm/$name.time" 2> /dev/null || echo "$1")"
	done
	echo "     vm: $1 s with booting"
}

end_all() {
	[ ${#running[@]} = 0 ] || kill "${!running[@]}" 2> /dev/null
	wait
}

# measures FILE: it wants the machine for itself
measures() {
	case $1 in
	*.sh) sed -n 1,10p "$1" | grep -qx '# alone' ;;
	*) false ;;
	esac
}

shopt -s extglob nullglob
alone=()
for layer in "${layers[@]}"; do
	mapfile -t files < <(list_files "$layer")
	for f in "${files[@]}"; do
		if [ "$layer" = vm ]; then
			end_each
			start_vm "${files[@]}"
			end_each
			break
		elif [ "$jobs" -gt 1 ] && measures "$f"; then
			alone+=("$layer $f")
		else
			start_file "$layer" "$f"
		fi
	done
done
end_each
for f in "${alone[@]}"; do
	start_file "${f% *}" "${f#* }"
	end_each
done

[ $((passed + failed + skipped)) -gt 0 ] ||
	echo "no test is called that, or it is not built (make tests); layers are: $LAYERS" >&2
[ $failed = 0 ] || printf 'FAIL %s\n' "${failures[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
