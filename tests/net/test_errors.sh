#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What people see when something is wrong: subject, reason, next step, and the right exit status; and nothing is changed.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip jq setpriv

net_up gw1 wan || tap_skip_all "cannot make network namespaces"
# the users below have to get to the run directory
chmod 755 "$XI_TMP"

# says NAME STATUS TEXT CMD...: CMD ends with STATUS, and TEXT is in what it prints
says() {
	local name=$1 status=$2 text=$3 out rc
	shift 3
	out=$("$@" 2>&1)
	rc=$?
	if [ $rc = "$status" ] && [[ $out == *"$text"* ]]; then
		tap_ok "$name"
	else
		tap_not_ok "$name" "status $rc, wanted $status; said: $out"$'\n'"wanted: $text"
	fi
}
daemon() {
	net_in gw1 timeout 10 "$XI_DAEMON" "$@"
}
xfrm() {
	gwctl gw1 xipsec xfrm "$@"
}

# configuration
conf=$XI_TMP/bad.conf
# bad LINE TEXT LINES...: a configuration of LINES is refused by -n and by a start, and the message begins with file and LINE
bad() {
	local line=$1 text=$2 name
	shift 2
	printf '%s\n' "$@" > "$conf"
	name="configuration: ${text%%:*}"
	says "$name" 2 "$conf:${line:+$line:} $text" daemon -n -c "$conf"
	says "$name (start)" 2 "$conf:${line:+$line:} $text" daemon -c "$conf"
}
bad 2 "wrokers: unknown key: did you mean workers? see xipsec.conf(5)" '[daemon]' 'wrokers = 2' '[port wan0]' 'role = cipher'
bad 2 "workers = many: give auto, or 1 to 16" '[daemon]' 'workers = many' '[port wan0]' 'role = cipher'
bad 2 "run-dir = run: give an absolute path" '[daemon]' 'run-dir = run' '[port wan0]' 'role = cipher'
bad 1 "[deamon]: unknown section: there are [daemon], [cache], [port IFNAME] and [interface NAME]" '[deamon]' '[port wan0]' 'role = cipher'
bad 3 "role = wan: a port is cipher or plain" '' '[port wan0]' 'role = wan'
bad 3 "[port wan0] was given in line 1 already: keep one of the two" '[port wan0]' 'role = cipher' '[port wan0]'
bad 3 "neither [section], key = value, nor a comment: correct the line" '[port wan0]' 'role = cipher' 'nonsense'
bad "" "no cipher port: add a [port IFNAME] with role = cipher" '[port wan0]' 'role = plain'
printf '%s\n' '[cache]' 'sa-entries = 0' '[port wan0]' 'role = cipher' 'mode = fast' > "$conf"
says "every error is reported at once: the first" 2 "$conf:2: sa-entries = 0: give a number of SAs, 1 to 1048576" daemon -n -c "$conf"
says "and the second" 2 "$conf:5: mode = fast: a mode is native or skb" daemon -n -c "$conf"
tap_check "nothing was made by any of them" test ! -e "$XI_TMP/run-gw1" -a ! -e "$XI_BPFFS/gw1"
good=$(gw_conf gw1)
says "-n says that a good one is good" 0 "$good: configuration is good" daemon -n -c "$good"
printf '%s\n' '[port wan0]' 'role = cipher' '' '[port nope0]' 'role = plain' '[port lo]' 'role = plain' \
	'[interface taken0]' 'if-id = 1' > "$conf"
says "-n: a port whose device is not there, with its line" 1 \
	"$conf:4: [port nope0]: no such device in this network namespace (\`ip link\` lists them): correct the name, create it, or remove its section from the configuration" \
	daemon -n -c "$conf"
says "and one that is no network card" 1 "$conf:6: [port lo]: not an ethernet device: a port needs one" daemon -n -c "$conf"
net_in gw1 ip link add taken0 type veth peer name taken1
says "and an interface whose name is taken" 1 "$conf:8: [interface taken0]: a device of this name is there and is not ours" \
	daemon -n -c "$conf"
printf '%s\n' '[port wan0]' 'role = cipher' '[daemon]' 'xfrm-group = xi-none' 'group = xi-no-one' > "$conf"
says "a group that is not there is a warning, for a start goes on without it" 0 \
	"$conf:4: warning: xfrm-group = xi-none: there is no such group: the XFRM socket serves root alone; groupadd xi-none" \
	daemon -n -c "$conf"
says "and so is the other one" 0 "$conf:5: warning: group = xi-no-one: there is no such group: only root may use the control socket" \
	daemon -n -c "$conf"
says "what else is there is good" 0 "$conf: configuration is good" daemon -n -c "$conf"
tap_check "and makes nothing" test ! -e "$XI_TMP/run-gw1" -a ! -e "$XI_BPFFS/gw1"
says "a file that is not there" 2 "$XI_TMP/none: cannot open the configuration; name another one with -c: No such file" \
	daemon -c "$XI_TMP/none"
says "an option that is not there" 2 "usage: xipsecd" daemon --wrokers
says "a superfluous argument" 2 "$good: unexpected argument: a file is named with -c" daemon "$good"
cp "$good" "$conf"
sed -i "/^\[daemon\]/a sas = $XI_TMP/sas" "$conf"
printf 'xfrm state add x\nroute add default via 10.0.0.1\n' > "$XI_TMP/sas"
says "-n reads the file of SAs" 2 "$XI_TMP/sas:2: only \`xfrm state|policy add|update ...\` may stand here" daemon -n -c "$conf"
: > "$XI_TMP/sas"
chmod 0640 "$XI_TMP/sas"
says "of keys that its group can read it warns" 0 "$XI_TMP/sas: its group can read the keys in it: chmod 600 it" daemon -n -c "$conf"
chmod 0620 "$XI_TMP/sas"
says "one that others can write is refused" 2 "$XI_TMP/sas: others than root can write SAs and policies there: chown root it" \
	daemon -n -c "$conf"
chmod 0600 "$XI_TMP/sas"
chown 65534 "$XI_TMP/sas"
says "and one of somebody else" 2 "$XI_TMP/sas: others than root can write SAs and policies there: chown root it" \
	daemon -n -c "$conf"
rm "$XI_TMP/sas"
says "which has to be there" 2 "$XI_TMP/sas: cannot read the file of SAs: No such file or directory: write one" daemon -n -c "$conf"

# the machine
says "an interface that is not there" 1 \
	"port nope0: no such device in this network namespace (\`ip link\` lists them): correct the name, create it, or remove its section from the configuration" \
	daemon -c "$(gw_conf gw1 '[port nope0]' 'role = plain')"
says "one that is no network card" 1 "port lo: not an ethernet device: a port needs one" \
	daemon -c "$(gw_conf gw1 '[port lo]' 'role = plain')"
says "a device that has an interface's name" 1 \
	"interface taken0: a device of this name is there and is not ours: name the interface otherwise, or rename or delete the device" \
	daemon -c "$(gw_conf gw1 '[interface taken0]' 'if-id = 1')"
good=$(gw_conf gw1)
# as in a container
sysctls() { net_in gw1 unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec timeout 10 "$@"' - "$@"; }
says "settings that cannot be made" 1 "must be 1 and cannot be set: Read-only file system: make /proc/sys writable" \
	sysctls "$XI_DAEMON" -c "$good"
tap_is "a first start that fails leaves no device" "$(net_in gw1 ip -o link show type veth | grep -c xipsec)" 0
tap_check "nor a pin" test ! -e "$XI_BPFFS/gw1"
tap_is "nor a program" "$(net_in gw1 ip -o link show | grep -c 'xdp')" 0
mkdir "$XI_TMP/plain"
says "a pin directory that is on no bpffs" 1 \
	"$XI_TMP/plain/x: not on a bpf file system; mount one with \`mount -t bpf bpf /sys/fs/bpf\`, or set pin-dir" \
	daemon -c "$good" --pin-dir "$XI_TMP/plain/x"
says "and -n says so, too" 1 "pin-dir = $XI_TMP/plain/x: not on a bpf file system" \
	daemon -n -c "$good" --pin-dir "$XI_TMP/plain/x"
says "also of one in a directory that is not there" 1 "pin-dir = $XI_TMP/none/x: not on a bpf file system" \
	daemon -n -c "$good" --pin-dir "$XI_TMP/none/x"
pins="others than its owner can write there, or it is no directory; chmod go-w, chown to the user of xipsecd, or set pin-dir"
mkdir -m 0777 "$XI_BPFFS/open"
mkdir -m 0700 "$XI_BPFFS/foreign"
chown 65534 "$XI_BPFFS/foreign"
mkdir -m 0700 "$XI_BPFFS/real"
ln -s "$XI_BPFFS/real" "$XI_BPFFS/link"
for dir in open foreign link; do
	says "a pin directory of others: $dir" 1 "$XI_BPFFS/$dir: $pins" daemon -c "$good" --pin-dir "$XI_BPFFS/$dir"
done
tap_check "nothing is pinned there" test -z "$(find "$XI_BPFFS" -mindepth 2)"
rm "$XI_BPFFS/link"
rmdir "$XI_BPFFS/open" "$XI_BPFFS/foreign" "$XI_BPFFS/real"
without() {
	says "without ${1%%,*}" 1 "$1 is missing, for $2" \
		net_in gw1 timeout 10 setpriv --bounding-set="$3" prlimit --memlock=65536 "$XI_DAEMON" -c "$good"
}
without CAP_NET_ADMIN "XDP and tc programs, devices and routes: run this as root, or grant it" -net_admin
without CAP_NET_RAW "AF_XDP and raw sockets" -net_raw
without CAP_BPF "maps and programs" -bpf,-sys_admin
without CAP_PERFMON "programs and the event ring" -perfmon,-sys_admin
# who may raise limits needs it not
without CAP_IPC_LOCK "packet memory" -ipc_lock,-sys_resource
gwctl gw1 xipsec down

# without a daemon
for cmd in show stats cache port 'show -j' 'port wan0'; do
	# shellcheck disable=SC2086
	says "$cmd without a daemon" 1 "xipsecd is not running (no socket at $XI_TMP/run-gw1/control.sock): start it with" \
		gwctl gw1 xipsec $cmd
done
says "xfrm without a daemon" 1 "xipsecd is not running in this network namespace: start it with xipsecd -c FILE" xfrm state list
says "run without a daemon" 1 "start it with xipsecd -c FILE; start it before an IKE daemon, which ends when it finds no XFRM" gwctl gw1 xipsec run ip xfrm state list
says "an unknown command" 2 "xipsec: shwo: unknown command: see \`xipsec help\`" gwctl gw1 xipsec shwo
for command in show dummy xfrm run down; do
	says "help of $command" 0 "usage: xipsec" gwctl gw1 xipsec $command --help
done
says "a wrong option of port" 2 "usage: xipsec port [-j] [NAME]" gwctl gw1 xipsec port -x
says "a name that is too many" 2 "usage: xipsec port [-j] [NAME]" gwctl gw1 xipsec port wan0 lan0
says "a name where there is none" 2 "usage: xipsec show [-j]" gwctl gw1 xipsec show wan0
says "a wrong option" 2 "usage: xipsec show [-j]" gwctl gw1 xipsec show -x
says "an SA too many" 2 "usage: xipsec cache [-j] [SPI|HANDLE]" gwctl gw1 xipsec cache 1 2

# who may look. A narrow umask must not keep the group out.
group=users
conf=$(gw_conf gw1)
sed -i "/^\[daemon\]/a group = $group" "$conf"
rm -rf "$XI_TMP/run-gw1"
umask 077
start_daemon gw1 "$conf" || { tap_not_ok "daemon starts"; tap_done; }
umask 022
tunnel_lines gw1 4 4 replay-window 64 | load_lines gw1
as() {
	local who=$1
	shift
	# a copy: the build directory may lie where others cannot go
	gwctl gw1 setpriv --reuid=65534 --regid="$who" --clear-groups "$XI_TMP/xipsec" --run-dir "$XI_TMP/run-gw1" "$@"
}
cp "$XI_BUILD/xipsec" "$XI_BUILD/libxipsec-xfrm.so" "$XI_TMP"
chmod 755 "$XI_TMP/xipsec" "$XI_TMP/libxipsec-xfrm.so"
spi=$(printf '0x%08x' $((SA_BASE + 1)))
says "a member of the group may look: show" 0 "$spi" as $group show
says "stats" 0 drops as $group stats -j
says "cache" 0 '"cached_sas"' as $group cache -j
says "port" 0 'port: wan0, cipher' as $group port
says "an SPI of no SA" 1 "xipsec: cache: no SA has this SPI or handle: \`xipsec show\` lists them" as $group cache 0x77
says "no SPI at all" 1 "xipsec: cache: no SPI and no handle: give one of \`xipsec show\`, as 0x1001" as $group cache x
says "the cache of one SA" 0 "esp $spi to " as $group cache "$spi"
tap_check "and sees no key" eval '! { as '$group' show; as '$group' show -j; } | grep -i "$(sa_key $((SA_BASE + 1)) | cut -c 3-14)"'
says "but may not end it" 1 "permission denied: this command is for root" as $group down
says "nor see or change SAs, for those come with keys" 1 "xipsecd does not serve this user, for keys would be seen: run this as root" \
	as $group xfrm state list
for cmd in show stats cache port; do
	says "another user may not look: $cmd" 1 "$XI_TMP/run-gw1/control.sock: permission denied: join group $group, or run this as root" as nogroup $cmd
done

says "another run directory than the daemon's" 1 \
	"no xipsecd answers at $XI_TMP/none/control.sock, and one serves this network namespace: wait until it is ready, or name its run directory" \
	net_in gw1 "$XI_BUILD/xipsec" --run-dir "$XI_TMP/none" show
says "a program that is not there" 127 "xipsec: run: nope: No such file or directory: install it, or give its path" \
	gwctl gw1 xipsec run nope

# kernel-style errors
id="src 192.0.2.1 dst 192.0.2.2 proto esp spi $spi"
new="src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x9000 mode tunnel"
gcm='rfc4106(gcm(aes))'
before=$(xfrm state list; xfrm policy list)
# shellcheck disable=SC2086
errors() {
	says "an SA that is there: EEXIST" 2 "RTNETLINK answers: File exists" xfrm state add $id mode tunnel aead "$gcm" "$(sa_key 1)" 128
	says "an SA that is not: ESRCH on delete" 2 "RTNETLINK answers: No such process" xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x9000
	says "ESRCH on get" 2 "RTNETLINK answers: No such process" xfrm state get src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x9000
	says "ESRCH on update" 2 "No such process" xfrm state update $new aead "$gcm" "$(sa_key 1)" 128
	says "EINVAL says what: key length" 2 "Error: rfc4106(gcm(aes)) takes a key of 128, 192 or 256 bits and 32 of salt" xfrm state add $new aead "$gcm" 0x0102030405 128
	says "EINVAL says what: reserved SPI" 2 "SPI 255 is reserved" xfrm state add ${new/0x9000/0xff} aead "$gcm" "$(sa_key 1)" 128
	says "an algorithm that is not carried: GCM of another cipher" 2 "Error: Requested AEAD algorithm not found" xfrm state add $new aead 'rfc4106(gcm(sm4))' "$(sa_key 1)" 128
	says "AES-CBC without integrity" 2 "Error: encryption without integrity is not carried" xfrm state add $new enc 'cbc(aes)' 0x00112233445566778899aabbccddeeff
	says "a protocol that is not carried: IPComp" 2 "Error: IPComp is not carried: only ESP and AH are." xfrm state add ${new/esp/comp} comp deflate
	says "a mode that is not carried: BEET" 2 "Error: only tunnel and transport mode are carried." xfrm state add ${new/tunnel/beet} aead "$gcm" "$(sa_key 1)" 128
	says "a policy that is there: EEXIST" 2 "RTNETLINK answers: File exists" xfrm policy add src 10.1.1.0/24 dst 10.1.2.0/24 dir out
	says "a policy that is not: ENOENT" 2 "RTNETLINK answers: No such file or directory" xfrm policy delete src 10.9.1.0/24 dst 10.1.2.0/24 dir out
}
errors
tap_is "SAs and policies are those of before" "$(xfrm state list; xfrm policy list)" "$before"

# a second daemon
says "a second daemon with the same run directory" 1 "another xipsecd uses this run directory; stop it, or give --run-dir and --pin-dir to one in another network namespace" \
	daemon -c "$conf"
tap_check "the first goes on" gwctl gw1 xipsec show
tap_done
