# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# libreswan's IKE daemon, pluto, unchanged, out of Debian's package, which is unpacked and not installed: it
# conflicts with strongSwan's.
#
#   pluto_get              unpacks the package into $PLUTO_ROOT (kept in the build directory);
#                          fails without apt-get or network
#   pluto_start NS DIR     pluto in the network namespace NS with its files in DIR, which may hold
#                          ipsec.conf and ipsec.secrets; sets PLUTO_PID. The environment is passed on:
#                          LD_PRELOAD=... makes xipsecd its kernel
#   pluto_whack DIR ...    whack (or addconn: pluto_addconn DIR ...) for the pluto of DIR
#   pluto_ready DIR        returns 0 when it listens
#   pluto_stop             ends it by whack's own request, and waits
#
# Its log is DIR/pluto.log. "leftupdown=%disabled" belongs into its connections: else it runs
# `ipsec _updown`, which may be strongSwan's.

PLUTO_ROOT=${B:-build}/pluto
[[ $PLUTO_ROOT == /* ]] || PLUTO_ROOT=$PWD/$PLUTO_ROOT

pluto_get() {
	[ ! -x "$PLUTO_ROOT/usr/libexec/ipsec/pluto" ] || return 0
	command -v apt-get dpkg > /dev/null || return 1
	mkdir -p "$PLUTO_ROOT" || return 1
	(cd "$PLUTO_ROOT" && apt-get -q download libreswan && dpkg -x libreswan_*.deb .) > "$PLUTO_ROOT/log" 2>&1
}

# What it lacks to run here: prints it. Its libraries are installed by tests/lib/deps.sh.
pluto_lacks() {
	ldd "$PLUTO_ROOT/usr/libexec/ipsec/pluto" | sed -n 's/^[[:space:]]*\(.*\) => not found$/\1/p'
	command -v certutil > /dev/null || echo certutil
}

# in the mount namespace that pluto has: its own /usr/libexec/ipsec, where it looks for its helpers
pluto_inside() {
	unshare -m --propagation private bash -c '
		mkdir -p "$2/libexec" && cp -a "$1/usr/libexec/ipsec" "$2/libexec/" &&
		mount --bind "$2/libexec" /usr/libexec && shift 2 && exec "$@"' - "$PLUTO_ROOT" "$@"
}

pluto_start() {
	local ns=$1 dir=$2
	mkdir -p "$dir/nss" "$dir/run" "$dir/d"
	[ -e "$dir/ipsec.conf" ] || printf 'config setup\n' > "$dir/ipsec.conf"
	[ -e "$dir/ipsec.secrets" ] || : > "$dir/ipsec.secrets"
	[ -e "$dir/nss/cert9.db" ] || env -u LD_PRELOAD certutil -N -d "sql:$dir/nss" --empty-password || return 1
	# the shell's own descriptors are not for pluto; only it gets the preload library
	local preload=${LD_PRELOAD:-}
	LD_PRELOAD='' pluto_inside "$dir" nsenter --net="/run/netns/$ns" env LD_PRELOAD="$preload" \
		/usr/libexec/ipsec/pluto --nofork --config "$dir/ipsec.conf" --nssdir "$dir/nss" \
		--rundir "$dir/run" --secretsfile "$dir/ipsec.secrets" --ipsecdir "$dir/d" --stderrlog \
		> "$dir/pluto.log" 2>&1 &
	PLUTO_PID=$!
}

pluto_whack() {
	local dir=$1
	shift
	env -u LD_PRELOAD "$PLUTO_ROOT/usr/libexec/ipsec/whack" --ctlsocket "$dir/run/pluto.ctl" "$@"
}

pluto_addconn() {
	local dir=$1
	shift
	env -u LD_PRELOAD "$PLUTO_ROOT/usr/libexec/ipsec/addconn" --config "$dir/ipsec.conf" \
		--ctlsocket "$dir/run/pluto.ctl" "$@"
}

pluto_ready() { pluto_whack "$1" --status > /dev/null 2>&1; }

pluto_stop() {
	local dir=$1
	[ -n "${PLUTO_PID:-}" ] || return 0
	pluto_whack "$dir" --shutdown > /dev/null 2>&1 || kill "$PLUTO_PID"
	wait "$PLUTO_PID"
	PLUTO_PID=
}
