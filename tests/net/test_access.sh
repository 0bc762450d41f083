#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Who may do what: members of the group look and no more, others not even that; a second daemon leaves the first
# alone, but for those of the XFRM socket's own group; what the process lacks is named; `xipsec down` keeps its hands off other directories.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
need_root
need_tools setpriv jq bpftool

GROUP=games                     # any group that every Debian has
XFRM_GROUP=mail
gid=$(getent group $GROUP | cut -d: -f3)
xfrm_gid=$(getent group $XFRM_GROUP | cut -d: -f3)
[ -n "$gid" ] && [ -n "$xfrm_gid" ] || tap_skip_all "no group $GROUP or $XFRM_GROUP"
net_up gw1 wan || tap_skip_all "cannot make network namespaces"
chmod 711 "$XI_TMP"
cp "$XI_BUILD/xipsec" "$XI_BUILD/libxipsec-xfrm.so" "$XI_TMP"
chmod 755 "$XI_TMP/xipsec" "$XI_TMP/libxipsec-xfrm.so"
conf=$(gw_conf gw1)
sed -i "s/^\[daemon\]/&\ngroup = $GROUP\nxfrm-group = $XFRM_GROUP/" "$conf"
umask 077
start_daemon gw1 "$conf" || { tap_not_ok "daemon starts" "$(tail "$XI_TMP/gw1.log")"; tap_done; }
umask 022

# as_user GROUPS COMMAND: the tool as user 65534; its output, then its status
as_user() {
	local groups=$1
	shift
	net_in gw1 setpriv --reuid 65534 --regid 65534 --groups "$groups" --bounding-set -all --inh-caps -all \
		"$XI_TMP/xipsec" --run-dir "$XI_TMP/run-gw1" --pin-dir "$XI_BPFFS/gw1" "$@" 2>&1
}
is_object() {
	as_user "$gid" "$@" | jq -e 'type == "object" and (has("error") | not)'
}
# refused GROUPS TEXT COMMAND: exit status 1, of run 125, and this in the output
refused() {
	local groups=$1 text=$2 status=1 out
	shift 2
	[ "$1" != run ] || status=125
	out=$(as_user "$groups" "$@")
	[ $? = $status ] && grep -qF -- "$text" <<< "$out" && return
	echo "$out"
	return 1
}
# fails TEXT COMMAND: a daemon that does not come up, exits 1 and says why
fails() {
	local text=$1 out
	shift
	out=$(timeout 10 "$@" 2>&1)
	[ $? = 1 ] && grep -qF -- "$text" <<< "$out" && return
	echo "$out"
	return 1
}
mode_of() {
	stat -c '%a %G' "$1"
}

tap_is "the run directory is open whatever the umask" "$(mode_of "$XI_TMP/run-gw1")" "755 root"
tap_is "the control socket is the group's" "$(mode_of "$XI_TMP/run-gw1/control.sock")" "660 $GROUP"
tap_is "the lock is its owner's" "$(mode_of "$XI_TMP/run-gw1/lock")" "600 root"
tap_is "the pin directory is its owner's" "$(mode_of "$XI_BPFFS/gw1")" "700 root"
for cmd in show stats cache port; do
	tap_check "a member of the group may $cmd" is_object $cmd -j
	tap_check "others may not $cmd" refused 65534 "join group" $cmd
done
for cmd in down "dummy 0x1001"; do
	# shellcheck disable=SC2086
	tap_check "others are not sent to the group, which may not ${cmd%% *} either" refused 65534 "for root" $cmd
done
tap_check "a member may not end the daemon" refused "$gid" "for root" down
tap_check "a member may not send dummy packets" refused "$gid" "for root" dummy 0x1001
tap_check "a member gets no SAs, for they have keys" refused "$gid" "does not serve this user" xfrm state list
tap_check "a member runs nothing against the daemon" refused "$gid" "does not serve this user" run true
tap_check "a member of the XFRM socket's group adds an SA" as_user "$xfrm_gid" xfrm state add src 192.0.2.1 dst 192.0.2.2 \
	proto esp spi 0x1001 mode tunnel aead "rfc4106(gcm(aes))" 0x000102030405060708090a0b0c0d0e0f10111213 128
tap_is "of several of its groups" "$(as_user "65534,$gid,$xfrm_gid" xfrm state count | tr -dc 0-9)" 1
tap_is "with it as its first one" "$(net_in gw1 setpriv --reuid 65534 --regid "$xfrm_gid" --clear-groups "$XI_TMP/xipsec" \
	xfrm state count 2>&1 | tr -dc 0-9)" 1
tap_check "the same takes it away" as_user "$xfrm_gid" xfrm state flush
tap_check "but is no member of the other group" refused "$xfrm_gid" "join group" show
tap_check "and runs programs, which find the daemon" as_user "$xfrm_gid" run ip xfrm state list
tap_check "the daemon still runs" net_in gw1 "$XI_BUILD/xipsec" --run-dir "$XI_TMP/run-gw1" stats

before=$(net_in gw1 ip -o -d link show)
daemon="nsenter --net=/run/netns/$XI_NS-gw1 -- "
# shellcheck disable=SC2086
tap_check "a second daemon of the same run directory says so" fails "another xipsecd uses this run directory" \
	$daemon "$XI_BUILD/xipsecd" -c "$conf" --pin-dir "$XI_BPFFS/second"
# shellcheck disable=SC2086
tap_check "a second daemon of the same network namespace says so" fails "another xipsecd serves this network namespace" \
	$daemon "$XI_BUILD/xipsecd" -c "$conf" --run-dir "$XI_TMP/run-second" --pin-dir "$XI_BPFFS/second"
tap_is "and has not touched the first one's devices" "$(net_in gw1 ip -o -d link show)" "$before"
for cap in NET_ADMIN NET_RAW SYS_ADMIN; do
	# shellcheck disable=SC2086
	tap_check "a daemon without CAP_$cap names it" fails "CAP_$cap is missing" $daemon setpriv \
		--bounding-set "-${cap,,}" "$XI_BUILD/xipsecd" -c "$conf" --run-dir "$XI_TMP/run-third"
done

stop_daemon gw1
echo 'route flush all' > "$XI_TMP/sas"
sed "s|^\[daemon\]|&\nsas = $XI_TMP/sas|" "$conf" > "$XI_TMP/bad.conf"
# shellcheck disable=SC2086
timeout 10 $daemon "$XI_BUILD/xipsecd" -c "$XI_TMP/bad.conf" --pin-dir "$XI_BPFFS/fourth" 2> "$XI_TMP/bad.log"
tap_is "a bad file of SAs is an error of the configuration" $? 2
tap_check "named with its line" grep -q "^$XI_TMP/sas:1: only" "$XI_TMP/bad.log"
tap_check "before anything is done" test ! -e "$XI_BPFFS/fourth"
mkdir "$XI_TMP/files"
touch "$XI_TMP/files/precious"
tap_check "down refuses a directory that is not on a bpffs" fails "no xipsecd has pinned anything here" \
	"$XI_BUILD/xipsec" --run-dir "$XI_TMP/none" --pin-dir "$XI_TMP/files" down
tap_check "and leaves its files" test -e "$XI_TMP/files/precious"
mkdir "$XI_BPFFS/foreign"
bpftool map create "$XI_BPFFS/foreign/theirs" type array key 4 value 4 entries 1 name theirs
tap_check "down refuses a directory of somebody else's pins" fails "no xipsecd has pinned anything here" \
	"$XI_BUILD/xipsec" --run-dir "$XI_TMP/none" --pin-dir "$XI_BPFFS/foreign" down
tap_check "and leaves them" test -e "$XI_BPFFS/foreign/theirs"
tap_check "down without a daemon unpins what it left" gwctl gw1 xipsec down
tap_check "all of it" test ! -e "$XI_BPFFS/gw1"
tap_done
