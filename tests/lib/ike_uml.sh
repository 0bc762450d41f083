# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# strongSwan over the kernel of tests/lib/uml.sh in the place of gw2: the functions of ike.sh and ike_peer.sh take "gw2" for
# it. Source tap.sh, netns.sh, ike.sh and ike_peer.sh first.
#
#   h1 10.1.1.2 --- gw1 192.0.2.1, xipsec === wan === 192.0.2.2 gw2, Linux --- 10.1.2.2 h2
#
#   ike_uml_up [LINE...]      all of it, with xipsecd in gw1 and charon in both; skips the file or ends it. LINEs are
#                             charon's, in both
#   uml_ike_start [LINE...]   charon in gw2
#   uml_ike_stop SIGNAL       ends it
#   ike_logged GW N PATTERN   at least N lines of charon's log match
#   ike_log_count GW PATTERN  how many do

. tests/lib/uml.sh
UML_LAN=h2
# of the CPU this kernel gets what is left: datagrams must not wait there for so long that IKE, behind them, gives up
life_window=50

ike_in() {
	if [ "$1" = gw2 ]; then
		uml_run <<< "$(printf '%q ' "${@:2}")"
	else
		net_in "$@"
	fi
}

xfrm_of() {
	if [ "$1" = gw2 ]; then
		uml_run <<< "ip ${*:2}"
	else
		gwip "$1" ip "${@:2}"
	fi
}

# The host's files of the test under their own names; what charon writes there stays in the kernel's own page cache.
# Modules that the first SA would ask for, too: on a busy machine that takes longer than IKE waits for an answer.
uml_ike_prepare() {
	uml_run <<- END
		mkdir -p "$XI_TMP" && mount -t hostfs -o "$XI_TMP" none "$XI_TMP" &&
			modprobe -d /run/kernel -a esp4 esp6 xfrm_user authenc authencesn seqiv echainiv gcm ctr ghash_generic drbg jitterentropy_rng
	END
}

uml_ike_start() {
	ike_conf gw2 "$@"
	uml_run <<- END || return 1
		rm -f "$XI_TMP/gw2.vici"
		STRONGSWAN_CONF="$XI_TMP/gw2.strongswan" setsid $CHARON > "$XI_TMP/charon-gw2.log" 2>&1 < /dev/null &
		echo \$! > /tmp/charon.pid
		for ((i = 0; i < 1000; i++)); do
			SWANCTL_DIR="$XI_TMP/gw2.swanctl" swanctl --stats --uri "unix://$XI_TMP/gw2.vici" > /dev/null 2>&1 && exit 0
			read -r -t 0.1 <> /run/nothing
			kill -0 \$! 2> /dev/null || break
		done
		tail -n 20 "$XI_TMP/gw2.charon" "$XI_TMP/charon-gw2.log"
		exit 1
	END
}

uml_ike_stop() {
	uml_run <<- END
		pid=\$(< /tmp/charon.pid)
		kill -$1 \$pid
		for ((i = 0; i < 200; i++)); do
			kill -0 \$pid 2> /dev/null || exit 0
			read -r -t 0.1 <> /run/nothing
		done
		exit 1
	END
}

ike_log_count() { ike_in "$1" grep -cE -- "$2" "$XI_TMP/$1.charon"; }
ike_logged() { [ "$(ike_log_count "$1" "$3")" -ge "$2" ]; }

ike_uml_up() {
	net_up wan gw1 h1 || tap_skip_all "cannot make network namespaces"
	uml_up
	tap_check "a kernel with ESP" uml_ike_prepare || tap_done
	tap_check "xipsecd of gw1" start_daemon gw1 || tap_done
	tap_check "charon of gw1" ike_start gw1 "$@" || tap_done
	tap_check "charon of the kernel" uml_ike_start "$@" || tap_done
}
