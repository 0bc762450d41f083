#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
# shellcheck disable=SC2016,SC2154
#
# The few SA places of a device, on demand. netdevsim has 33 of them and takes neither ESN nor UDP encapsulation.
#
#   h1 --- gw1 (xipsecd with mirror = yes, offload = yes) --- wan0, a netdevsim
#
# 40 tunnels leave by it. What it sends nobody gets, so its own list of SAs, the kernel's counters and xipsec's tell
# who protects which packet.
if [ -z "${VMTEST:-}" ]; then
	cd "$(dirname "$0")/.." || exit 1
	if ! why=$(vmtest/build_netdevsim 2>&1 > /dev/null); then
		echo "1..0 # SKIP ${why##*$'\n'}"
		exit 0
	fi
	exec vmtest/vmrun -t 230 "vmtest/${0##*/}"
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
modprobe -a psample esp4 esp4_offload xfrm_user gcm
tap_check "netdevsim" insmod "$VM_CACHE/netdevsim-$(uname -r).ko" || tap_done
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
net_add gw1 h1
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
{
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
sed '/^\[port wan0\]/a offload = yes\nmode = skb' "$(gw_conf gw1 "[daemon]" "mirror = yes")" > "$conf"
tap_check "the daemon starts" start_daemon gw1 "$conf" || { cat "$XI_TMP/gw1.log"; tap_done; }
tap_check "and takes over" wait_for 30 synced $tunnels || show | jq .mirror
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
tap_check "kill -9" kill_daemon gw1
had=$(hardware)
tap_check "it starts again" start_daemon gw1 "$conf"
tap_check "and takes over" wait_for 30 synced "$(show | jq .mirror.policies)"
tap_is "what it had put in the device is its own still" "$(offload others)" 0
tap_is "and is there" "$(comm -23 <(echo "$had") <(hardware) | wc -l)" 0
tap_is "all SAs are the kernel's still" "$(kernel_ip xfrm state count | sed 's/.* //')" $tunnels
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
