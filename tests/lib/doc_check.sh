# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Sourced, after tap.sh and in the root of the tree, by tests of the checks that read a table of doc/.

# doc_check TOOL DOC PLAN DETAILS: TOOL passes DOC as it is; its results are this file's, and what of its output fits
# DETAILS goes with one that fails.
doc_check() {
	doc_tool=$1 doc_file=$2
	doc_work=$(mktemp -d)
	trap 'rm -rf "$doc_work"' EXIT
	"$doc_tool" > "$doc_work/out" 2> "$doc_work/err"
	local line
	while IFS= read -r line; do
		case $line in
		"ok "*) tap_ok "${line#* - }" ;;
		"not ok "*) tap_not_ok "${line#* - }" "$(grep "$4" "$doc_work/out")" ;;
		esac
	done < "$doc_work/out"
	tap_is "the check runs to its end" "$(tail -n 1 "$doc_work/out") $(< "$doc_work/err")" "$3 "
}

# finds NAME TEXT SED...: the check of a table that sed has changed fails, and says so
finds() {
	local name=$1 text=$2 changed=$doc_work/${doc_file##*/}
	shift 2
	if ! sed "$@" "$doc_file" > "$changed"; then
		tap_not_ok "found: $name" "sed: $*"
	elif cmp -s "$doc_file" "$changed"; then
		tap_not_ok "found: $name" "sed changed nothing"
	elif "$doc_tool" "$changed" > "$doc_work/out"; then
		tap_not_ok "found: $name" "the check passes"
	else
		tap_check "found: $name" grep -qE "$text" "$doc_work/out" || cat "$doc_work/out" >&2
	fi
}
