#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 400
#
# xipsec's XFRM against the kernel's: tests/interop/xfrm_script.txt is run in Linux 6.1 (user-mode Linux) and, at the same time,
# against a daemon in a namespace of its own, or its XFRM server alone where there is no root; every answer, error and event is
# compared.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/uml.sh
need_tools ip unshare

SCRIPT=tests/interop/xfrm_script.txt
RUN=tests/interop/xfrm_compare.py
make -s B="$XI_BUILD" "$XI_BUILD/tests/interop/xfrm_serverd" "$XI_BUILD/libxipsec-xfrm.so" >&2 || exit 1
UML_SECONDS=300                 # the whole script is one command
uml_alone
cc -O2 -Wall -Werror -fPIC -shared -o "$UML_DIR/tell_errno.so" tests/interop/tell_errno.c || exit 1

linux() {
	uml_run <<- END > "$XI_TMP/linux.log"
		modprobe -d /run/kernel -a esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm_user authenc authencesn seqiv echainiv
		/usr/bin/python3 -ES $RUN run $SCRIPT /run/share/tell_errno.so > /run/share/linux.json
	END
}

daemon_run() {
	start_daemon gw1 && gwip gw1 /usr/bin/python3 -ES $RUN run $SCRIPT "$UML_DIR/tell_errno.so"
}
server_run() {
	# shellcheck disable=SC2016
	XIPSEC_XFRM_SOCK=t$$ unshare -rn bash -c '
		coproc SERVER { exec "$1/tests/interop/xfrm_serverd" "$2" 2>&1; }
		read -r -t 10 -u "${SERVER[0]}" line && [ "$line" = ready ] || exit 1
		exec {to}>&"${SERVER[1]}"
		while echo clock; do sleep 1; done >&"$to" &
		clock=$!
		LD_PRELOAD=$1/libxipsec-xfrm.so /usr/bin/python3 -ES "${@:3}"
		status=$?
		kill $clock $SERVER_PID
		exit $status' bash "$PWD/$XI_BUILD" "$XI_TMP" $RUN run $SCRIPT "$UML_DIR/tell_errno.so"
}

who="the XFRM server alone"
how=server_run
if [ "$(id -u)" = 0 ] && net_up gw1 wan > "$XI_TMP/net.log" 2>&1; then
	who="the daemon"
	how=daemon_run
fi
linux &
linux=$!
tap_check "$who carries the script out" eval "$how > '$XI_TMP/xipsec.json'"
wait $linux
status=$?
[ -s "$UML_DIR/linux.json" ] || status=unfinished
tap_is "so does Linux $(< "$UML_DIR/ready")" "$status" 0 || tap_comment "$(< "$XI_TMP/linux.log")"
[ $tap_failed = 0 ] || tap_done
tap_take < <(/usr/bin/python3 -ES $RUN compare $SCRIPT "$UML_DIR/linux.json" "$XI_TMP/xipsec.json" doc/architecture.md ||
	echo "# some differ, or were not compared")
tap_check "all sections were compared" test "$tap_count" -gt 20
tap_done
