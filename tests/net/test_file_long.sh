#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A file of thousands of SAs: the service manager is told to wait while they come, the log and `xipsec stats` say how many
# there are, and of a file that is refused over and over the log says where and how often without telling it all.
set -u
cd "$(dirname "$0")/../.." || exit 1
# the state directory is mounted here, in memory: a disk takes two writes for each SA, which is not what this is about
[ -n "${XI_UNSHARED:-}" ] || XI_UNSHARED=1 exec unshare --mount --propagation private "$0" "$@"
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
need_tools jq
n=5000

net_up gw1 wan || tap_skip_all "cannot make network namespaces"
mkdir "$XI_TMP/state"
mount -t tmpfs -o size=64m,mode=0700 xi-state "$XI_TMP/state" || tap_skip_all "cannot mount a tmpfs"
sas() {
	local i
	for ((i = 0; i < n; i++)); do
		printf 'xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi %d mode tunnel aead rfc4106(gcm(aes)) 0x%040x 128\n' \
			$((0x1000 + i)) $((i + 1))
	done
}
sas > "$XI_TMP/sas"
chmod 600 "$XI_TMP/sas"
configure() {
	conf=$(gw_conf gw1)
	sed -i "/^\[daemon\]/a sas = $XI_TMP/sas\nstate-dir = $XI_TMP/state\nmax-sas = $1" "$conf"
}
refused() {
	! nsenter --net="/run/netns/$XI_NS-gw1" -- timeout 60 "$XI_DAEMON" -c "$conf" --run-dir "$XI_TMP/run-gw1" \
		--pin-dir "$XI_BPFFS/gw1" > "$XI_TMP/refused" 2>&1
}

configure 1000
tap_check "a file of more SAs than max-sas is refused" refused
tap_check "from the first line that is too many" grep -q "sas:1001: .*raise max-sas" "$XI_TMP/refused"
tap_check "with their number and that others were not tried" \
	grep -q "sas: 100 commands were refused, and those behind them not tried" "$XI_TMP/refused"
tap_is "and that xipsecd ends is the last line" "$(tail -n 1 "$XI_TMP/refused" | grep -c 'xipsecd ends')" 1

configure 8192
export XI_START_TIMEOUT=120 XI_NOTIFY_LOG=$XI_TMP/notified
tap_check "with room for all it starts" start_daemon gw1 "$conf"
tap_check "the service manager was told to wait" grep -q '^EXTEND_TIMEOUT_USEC=30000000' "$XI_TMP/notified"
tap_check "and for what" grep -q "^STATUS=loading $XI_TMP/sas: [1-9][0-9]* SAs and policies so far" "$XI_TMP/notified"
tap_check "the log says how many there are" grep -q "ready: .* SAs: $n\$" "$XI_TMP/gw1.log"
held() {
	gwctl gw1 xipsec "$1" -j | jq -c .held
}
all="{\"sas\":$n,\"max_sas\":8192,\"policies\":0,\"max_policies\":16384}"
tap_is "xipsec stats, too" "$(held stats)" "$all"
tap_is "and xipsec show, of which they are more than a page" "$(held show)" "$all"
tap_check "xipsec down" gwctl gw1 xipsec down
tap_check "the log says so" wait_for 5 grep -q '^down: .*no longer protected' "$XI_TMP/gw1.log"
tap_done
