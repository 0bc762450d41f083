#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 420
# shellcheck disable=SC2016,SC2154
#
# The few SA places of a device, on demand. netdevsim has 33 of them and takes neither ESN nor UDP encapsulation.
#
#   h1 --- gw1 (xipsecd with mirror = yes, offload = yes) --- wan0, a netdevsim
#           |wan1
#          gw2 (Linux's own ESP), which sends by a tunnel of its own, and much of it again
#
# 40 tunnels leave by wan0. What it sends nobody gets, so its own list of SAs, the kernel's counters and xipsec's tell
# who protects which packet. The peer of the inbound tunnel is reached by wan0, too, so its SA goes into that device; the
# kernel decrypts in software what did not come by it.
if [ -z "${VMTEST:-}" ]; then
	cd "$(dirname "$0")/.." || exit 1
	if ! why=$(vmtest/build_netdevsim 2>&1 > /dev/null); then
		echo "1..0 # SKIP ${why##*$'\n'}"
		exit 0
	fi
	exec vmtest/vmrun -t 400 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
. vmtest/common.sh

tunnels=40 slots=33 # NSIM_IPSEC_MAX_SA_COUNT

kernel_ip() {
	net_in gw1 ip "$@"
}
show() {
	gwctl gw1 xipsec show -j
}
spi() {
	printf '0x%08x' $((0x1000 + $1))
}
# hardware: SPIs in the device, as the kernel tells
hardware() {
	kernel_ip xfrm state | awk '/ spi /{ spi = $4 } /offload parameters/{ print spi }' | sort
}
# numbers of tunnels, as SPIs
spis() {
	local n
	for n; do spi "$n"; echo; done | sort
}
in_device() {
	sed -n 's/^SA count=\([0-9]*\).*/\1/p' /sys/kernel/debug/netdevsim/netdevsim10/ports/0/ipsec
}
# packets that the device was to protect; that xipsec has with all SAs it carries
by_device() {
	sed -n 's/^SA count=.* tx=\([0-9]*\).*/\1/p' /sys/kernel/debug/netdevsim/netdevsim10/ports/0/ipsec
}
by_xipsec() {
	show | jq '[.sas[].packets] | add'
}
offload() {
	show | jq -r ".mirror.offload[0].$1"
}
synced() {
	[ "$(show | jq -r '.mirror | "\(.synced) \(.policies)"')" = "true $1" ]
}
# all_in N...: these tunnels, whoever else
all_in() {
	[ -z "$(comm -23 <(spis "$@") <(hardware))" ]
}
# traffic to the tunnels: busy ones, which the file names, 20 packets a second each, the others 1
cat > "$XI_TMP/flows.py" << 'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
n = 0
while True:
    busy = set(open(sys.argv[1]).read().split())
    t = time.monotonic()
    for i in range(1, 41):
        if str(i) in busy or n % 20 == 0:
            s.sendto(b"x" * 32, (f"10.2.{i}.2", 9))
    n += 1
    time.sleep(max(0, t + 0.05 - time.monotonic()))
PY

if [ ! -f "$VM_CACHE/netdevsim-$(uname -r).ko" ]; then
	echo "1..0 # SKIP no netdevsim for this kernel: vmtest/build_netdevsim says why"
	exit 0
fi
# numbered datagrams from gw2, as many a second as the file says, and each ESP packet up to three times more
cat > "$XI_TMP/inbound.py" << 'PY'
import random, select, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.3.0.1", 0))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind(("wan1", 3))
esp, n, at = [], 0, time.monotonic()
while True:
    rate = float(open(sys.argv[1]).read())
    while time.monotonic() >= at:
        s.sendto(struct.pack("!Q", n), ("10.1.1.2", 7777))
        n += 1
        at = max(at + 1 / rate, time.monotonic() - 0.2)
    while select.select([raw], [], [], max(0, min(0.05, at - time.monotonic())))[0]:
        frame, (_, _, kind, _, _) = raw.recvfrom(2048)
        if kind == socket.PACKET_OUTGOING and frame[23] == 50:
            esp += [frame] * 3
    for _ in range(min(len(esp), 6)):
        raw.send(esp.pop(random.randrange(len(esp))))
    del esp[:-600]
    with open(sys.argv[1] + ".sent", "w") as f:
        f.write(str(n))
PY
# what h1 got: datagrams, and how many came once more
cat > "$XI_TMP/receive.py" << 'PY'
import os, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.1.1.2", 7777))
seen, twice = set(), 0
while True:
    n, = struct.unpack("!Q", s.recv(64))
    twice += n in seen
    seen.add(n)
    with open(sys.argv[1] + ".new", "w") as f:
        f.write(f"{len(seen)} {twice}\n")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
PY
received() {
	cut -d' ' -f1 "$XI_TMP/received"
}
gets_more() {
	[ "$(received)" -ge $((had_received + $1)) ]
}
goes_on() {
	had_received=$(received)
	wait_for 30 gets_more "$1"
}
in_is_there() {
	hardware | grep -q 0x00002001
}
in_is_ours() {
	! in_is_there && gwctl gw1 xipsec show | grep -q 0x00002001
}
# numbers: the kernel's counters of outbound SAs, by SPI
numbers() {
	kernel_ip xfrm state | awk '/ spi /{ spi = $4 } /anti-replay context:/{ sub(",", "", $6); print spi, $6 }' |
		grep 0x00001 | sort
}
none_went_back() {
	join "$XI_TMP/numbers" <(numbers) |
		while read -r id before after; do
			[ $((after)) -ge $((before)) ] || echo "$id: $before, then $after"
		done
}

modprobe -a psample esp4 esp4_offload xfrm_user gcm
tap_check "netdevsim" insmod "$VM_CACHE/netdevsim-$(uname -r).ko" || tap_done
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
net_add gw1 gw2 h1
mkdir -p "$XI_BPFFS"
mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS"
net_veth h1 lan0 gw1 lan0 1500
net_addr h1 lan0 10.1.1.2/24
net_addr gw1 lan0 10.1.1.1/24
echo "10 1 1" > /sys/bus/netdevsim/new_device
nsim_ready() {
	dev=$(ls /sys/bus/netdevsim/devices/netdevsim10/net 2> /dev/null)
	[ -n "$dev" ]
}
tap_check "its device" wait_for 10 nsim_ready
tap_check "as wan0 of gw1" ip link set "$dev" netns "$XI_NS-gw1" name wan0
net_in gw1 ethtool -K wan0 esp-hw-offload on
net_addr gw1 wan0 192.0.2.1/24
net_in gw1 ip link set wan0 up
net_in gw1 sysctl -qw net.ipv4.ip_forward=1
net_in h1 ip route add default via 10.1.1.1
net_veth gw1 wan1 gw2 wan1 1500
net_addr gw2 wan1 192.0.2.50/32 10.3.0.1/24
net_in gw2 ip route add 192.0.2.1 dev wan1
net_in gw2 ip neigh add 192.0.2.1 lladdr "$(net_in gw1 ip -j link show wan1 | jq -r '.[0].address')" dev wan1
net_in gw2 ip route add 10.1.1.0/24 dev wan1 src 10.3.0.1
for dev in all default wan1; do
	net_in gw1 sysctl -qw "net.ipv4.conf.$dev.rp_filter=0"
done
in_sa="xfrm state add src 192.0.2.50 dst 192.0.2.1 proto esp spi 0x2001 reqid 100 mode tunnel replay-window 32 aead rfc4106(gcm(aes)) $(sa_key 100) 128"
in_policy="src 10.3.0.0/24 dst 10.1.1.0/24 dir DIR tmpl src 192.0.2.50 dst 192.0.2.1 proto esp reqid 100 mode tunnel"
tap_check "a tunnel of gw2" net_in gw2 ip -batch - << EOF
$in_sa
xfrm policy add ${in_policy/DIR/out}
EOF
{
	echo "$in_sa"
	echo "xfrm policy add ${in_policy/DIR/in}"
	echo "xfrm policy add ${in_policy/DIR/fwd}"
	for n in $(seq $tunnels); do
		peer=192.0.2.$((n + 1))
		echo "neigh add $peer lladdr 02:00:00:00:00:$(printf %02x "$n") dev wan0 nud permanent"
		echo "route add 10.2.$n.0/24 via $peer"
		echo "xfrm state add src 192.0.2.1 dst $peer proto esp spi $(spi "$n") reqid $n mode tunnel replay-window 32 aead rfc4106(gcm(aes)) $(sa_key "$n") 128"
		echo "xfrm policy add src 10.1.1.0/24 dst 10.2.$n.0/24 dir out tmpl src 192.0.2.1 dst $peer proto esp reqid $n mode tunnel"
	done
} > "$XI_TMP/lines"
tap_check "40 tunnels" kernel_ip -batch "$XI_TMP/lines"
conf=$XI_TMP/gw1-offload.conf
sed '/^\[port wan0\]/a offload = yes\nmode = skb' "$(gw_conf gw1 "[port wan1]" "role = cipher" "[daemon]" "mirror = yes")" > "$conf"
tap_check "the daemon starts" start_daemon gw1 "$conf" || { cat "$XI_TMP/gw1.log"; tap_done; }
tap_check "and takes over" wait_for 30 synced $((tunnels + 2)) || show | jq .mirror
tap_is "nothing is in the device without traffic" "$(in_device)" 0

mapfile -t first < <(seq 1 28)
mapfile -t second < <(seq 13 40)
echo "${first[@]}" > "$XI_TMP/busy"
net_bg flows h1 /usr/bin/python3 -S "$XI_TMP/flows.py" "$XI_TMP/busy"
tap_check "the busiest are put in the device" wait_for 75 all_in "${first[@]}" || { show | jq -cM .mirror; hardware; tail -30 "$XI_TMP/gw1.log"; }
tap_check "it says when it is full" wait_for 30 eval '[ "$(offload slots)" = $slots ]'
tap_is "and has no more" "$(in_device)" $slots
tap_is "as show says" "$(offload sas)" $slots
tap_check "show, for people" eval 'gwctl gw1 xipsec show | grep -q "offload: wan0, 33 SAs of 33"'
before=$(by_device)
tap_check "packets of those leave by it" wait_for 20 eval '[ "$(by_device)" -gt $((before + 100)) ]'
before=$(by_xipsec)
tap_check "and xipsec carries the rest" wait_for 30 eval '[ "$(by_xipsec)" -gt $((before + 10)) ]'
echo "${second[@]}" > "$XI_TMP/busy"
tap_check "the set follows" wait_for 60 all_in "${second[@]}" || { show | jq -cM .mirror; hardware; tail -30 "$XI_TMP/gw1.log"; }
tap_is "no stray packets of the kernel" "$(show | jq .mirror.strays)" 0

: "--- what comes in"
echo 200 > "$XI_TMP/rate"
echo 0 0 > "$XI_TMP/received"
net_bg receive h1 /usr/bin/python3 -S "$XI_TMP/receive.py" "$XI_TMP/received"
net_bg inbound gw2 /usr/bin/python3 -S "$XI_TMP/inbound.py" "$XI_TMP/rate"
tap_check "an inbound SA carries" goes_on 20 || {
	cat "$XI_TMP/inbound.log" "$XI_TMP/receive.log"
	kernel_ip -s xfrm state get src 192.0.2.50 dst 192.0.2.1 proto esp spi 0x2001
	gwctl gw1 xipsec stats
}
tap_check "its SA is put in the device" wait_for 75 in_is_there || { show | jq -cM .mirror; tail -30 "$XI_TMP/gw1.log"; }
tap_check "as one that receives" eval 'kernel_ip xfrm state | grep -q "dir in"'
tap_check "it carries" goes_on 200 || {
	kernel_ip -s xfrm state get src 192.0.2.50 dst 192.0.2.1 proto esp spi 0x2001
	net_in gw1 cat /proc/net/xfrm_stat
}
tap_is "and no packet twice" "$(cut -d' ' -f2 "$XI_TMP/received")" 0
echo 8 > "$XI_TMP/rate"
seq -s ' ' 40 > "$XI_TMP/busy"
tap_check "busier ones have its place" wait_for 120 in_is_ours || { show | jq -cM .mirror; tail -30 "$XI_TMP/gw1.log"; }
tap_check "it carries" goes_on 40
tap_is "and no packet twice" "$(cut -d' ' -f2 "$XI_TMP/received")" 0
echo "# $(cat "$XI_TMP/rate.sent") sent, $(received) received"
tap_is "no stray packets of the kernel" "$(show | jq .mirror.strays)" 0

: "--- the device is set down"
had=$(hardware | wc -l)
tap_check "SAs are in the device" [ "$had" -gt 20 ]
numbers > "$XI_TMP/numbers"
net_in gw1 ip link set wan0 down
restored() {
	[ "$(offload restored)" -ge "$1" ]
}
tap_check "what it lost is there again" wait_for 30 restored "$had" || { show | jq -cM .mirror; tail -30 "$XI_TMP/gw1.log"; }
tap_is "all of it" "$(kernel_ip xfrm state count | sed 's/.* //')" $((tunnels + 1))
tap_check "in software" wait_for 30 eval '[ "$(hardware | wc -l)" = 0 ]'
tap_check "and xipsec's" wait_for 90 eval '[ "$(show | jq ".sas | length")" = $((tunnels + 1)) ]'
tap_is "no number again" "$(none_went_back)" ""
tap_check "show says that the device takes none" wait_for 30 eval '[ "$(offload able)" = false ]'
net_in gw1 ip link set wan0 up
sed -nE '/^(neigh|route) /s/ add / replace /p' "$XI_TMP/lines" | net_in gw1 ip -batch -
tap_check "when it is up, SAs go in again" wait_for 120 eval '[ "$(in_device)" -gt 10 ]' || { show | jq -cM .mirror; tail -30 "$XI_TMP/gw1.log"; }
tap_is "no number again" "$(none_went_back)" ""

: "--- and another daemon"
tap_check "kill -9" kill_daemon gw1
had=$(hardware)
tap_check "it starts again" start_daemon gw1 "$conf"
tap_check "and knows what the kernel has" wait_for 30 eval '[ "$(show | jq .mirror.synced)" = true ]' || show | jq -cM .mirror
tap_is "what it had put in the device is its own still" "$(offload others)" 0
tap_is "and is there" "$(comm -23 <(echo "$had") <(hardware) | wc -l)" 0
tap_is "all SAs are the kernel's still" "$(kernel_ip xfrm state count | sed 's/.* //')" $((tunnels + 1))
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
