# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# The XFRM server alone, for tests of its clients. Needs no root.
#
#   xs_begin               a server's name and a directory of this test's own; after tap.sh
#   xs_start [CMD...]      the server, run by CMD (nsenter ...) where one is given
#   xs_stop                kills it, as a daemon may be
#   xs_tell COMMAND...     one command of tests/interop/xfrm_serverd; prints the answer
#   xs_listened MASK       returns 0 when one of the groups has members
#   xs_preloaded CMD...    with the preload library
#   xs_add SPI             an SA
#
# Sets XS_DIR, XS_PRELOAD, XS_PID. Files $XS_DIR/* are gone at the end, as is the server.

XS_PRELOAD=$B/libxipsec-xfrm.so

xs_begin() {
	XS_DIR=$(mktemp -d)
	export XIPSEC_XFRM_SOCK=t$$ XIPSEC_PRELOAD=$XS_PRELOAD
	trap xs_end EXIT
}

xs_end() {
	xs_stop
	# shellcheck disable=SC2046
	[ -z "$(jobs -p)" ] || kill $(jobs -p) 2>/dev/null
	rm -rf "$XS_DIR"
}

xs_start() {
	local line
	coproc XS { exec "$@" "$B/tests/interop/xfrm_serverd" "$XS_DIR" 2>&1; }
	XS_PID=$!
	exec {xs_to}>&"${XS[1]}" {xs_from}<&"${XS[0]}"
	read -r -t 20 -u "$xs_from" line && [ "$line" = ready ] || exit 1
}

xs_stop() {
	[ -n "${XS_PID:-}" ] || return 0
	kill -9 "$XS_PID"
	wait "$XS_PID" 2>/dev/null
	exec {xs_to}>&- {xs_from}<&-
	XS_PID=
}

xs_tell() {
	local answer
	echo "$*" >&"$xs_to"
	read -r -t 30 -u "$xs_from" answer
	echo "$answer"
}

xs_listened() { (($(xs_tell groups | cut -d' ' -f2) & $1)); }

xs_preloaded() { LD_PRELOAD=$XS_PRELOAD "$@"; }

xs_add() {
	xs_preloaded ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi "$1" mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(printf '0x%08x05060708090a0b0c0d0e0f1011121314' "$1")" 128
}
