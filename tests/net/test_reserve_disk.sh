#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A full or read-only disk refuses the SA of a file, or stops it, instead of risking a nonce; after a reboot it goes on above.
set -u
cd "$(dirname "$0")/../.." || exit 1
# file systems that are mounted here end with this process
[ -n "${XI_UNSHARED:-}" ] || XI_UNSHARED=1 exec unshare --mount --propagation private "$0" "$@"
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools jq
STATE=$XI_TMP/state
PINS=$XI_BPFFS/gw1

net_up || tap_skip_all "cannot make network namespaces"
mkdir "$STATE"
mount -t tmpfs -o size=16k,mode=0700 xi-state "$STATE" || tap_skip_all "cannot mount a tmpfs"
tunnel_lines gw1 > "$XI_TMP/gw1.sas"
chmod 600 "$XI_TMP/gw1.sas"
conf=$(gw_conf gw1)
sed -i "/^\[daemon\]/a sas = $XI_TMP/gw1.sas\nstate-dir = $STATE" "$conf"
start_daemon gw2 || { tap_not_ok "gw2 starts"; tap_done; }
tunnel_lines gw2 | load_lines gw2

refused() {
	: > "$XI_TMP/refused"
	! nsenter --net="/run/netns/$XI_NS-gw1" -- timeout 20 "$XI_DAEMON" -c "$conf" --run-dir "$XI_TMP/run-gw1" \
		--pin-dir "$PINS" > "$XI_TMP/refused" 2>&1 || return 1
	cat "$XI_TMP/refused"
	grep -qF "$1" "$XI_TMP/refused" && grep -q 'cannot be reserved on disk' "$XI_TMP/refused" && [ ! -e "$PINS" ]
}
fill() {
	# as much as fits
	dd if=/dev/zero of="$STATE/full" bs=4096 2> /dev/null || [ -e "$STATE/full" ]
}
traffic() {
	net_in h1 ping -q -c 5 -i 0.01 -W 1 10.1.2.2 | grep ' 0% packet loss'
}
silence() {
	net_in h1 ping -q -c 3 -i 0.01 -W 0.3 10.1.2.2 | grep ' 100% packet loss'
}
reserved() {
	cat "$STATE"/[0-9a-f]* | sort -n | head -n 1
}

fill
tap_check "a full disk: the file of SAs is refused, and nothing is left pinned" refused 'No space left on device; make room'
rm "$STATE/full"
mount -o remount,ro "$STATE"
tap_check "a read-only disk: the same" refused 'Read-only file system; mount it writable'
mount -o remount,rw "$STATE"
tap_check "a disk that can be written: it starts" start_daemon gw1 "$conf"
tap_check "and says that this one does not outlive a reboot" grep -q 'gone after a reboot' "$XI_TMP/gw1.log"
tap_check "traffic" wait_for 10 traffic
before=$(reserved)
tap_check "numbers are reserved" test "$before" -gt 0

# the files go, the daemon is started again, and the disk cannot take them
kill_daemon gw1
rm "$STATE"/[0-9a-f]*
mount -o remount,ro "$STATE"
tap_check "restart without the files, on a read-only disk" start_daemon gw1 "$conf"
tap_check "nothing is sent" silence
starved() {
	[ "$(gwctl gw1 xipsec stats -j | jq '.reasons.seq_reserve')" -gt 0 ]
}
tap_check "and it is counted" starved
mount -o remount,rw "$STATE"
tap_check "once the disk can be written it goes on by itself" wait_for 10 traffic
tap_is "the files say again what they said" "$(reserved)" "$before"

# a reboot: programs, devices and maps are gone, the state directory stays
stop_daemon gw1
gwctl gw1 xipsec down > /dev/null 2>&1
tap_check "start after a reboot" start_daemon gw1 "$conf"
tap_check "blocks lie above those of before" test "$(reserved)" -gt "$before"
tap_check "traffic after a reboot" wait_for 10 traffic
umount -l "$STATE"
tap_done
