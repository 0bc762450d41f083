#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 120
#
# Requests that `ip xfrm` has no words for (MIGRATE, ACQUIRE of a program, NEWAE, offload ...): Linux and the XFRM server
# give the same answers, and their groups hear the same.
# shellcheck disable=SC2154
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
. tests/lib/uml.sh
need_tools ip python3
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
make -s B="$B" "$B/tests/interop/xfrm_serverd" "$B/libxipsec-xfrm.so" >&2 || exit 1

net_up wan || tap_skip_all "cannot make network namespaces"
uml_up
tap_check "a kernel with ESP" uml_run <<< "modprobe -d /run/kernel -a esp4 esp6 ah4 xfrm_user" || tap_done
export XIPSEC_XFRM_SOCK=requests-$$
coproc SERVER { exec "$B/tests/interop/xfrm_serverd" 2>&1; }
xi_pids[serverd]=$SERVER_PID
read -r -t 10 -u "${SERVER[0]}" line
tap_is "the server" "$line" ready
uml_run <<< "python3 /run/src/tests/interop/xfrm_requests.py" > "$XI_TMP/linux" 2>&1
tap_is "Linux answers each" $? 0
LD_PRELOAD=$B/libxipsec-xfrm.so python3 tests/interop/xfrm_requests.py > "$XI_TMP/ours" 2>&1
tap_is "so does the server" $? 0
tap_is "more than 50 requests" "$(($(grep -c '^[^ ]' "$XI_TMP/linux") > 50))" 1
tap_is "and they say the same" "$(diff "$XI_TMP/linux" "$XI_TMP/ours")" ""
tap_done
