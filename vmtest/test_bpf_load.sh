#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The BPF object on the oldest kernel that is supported: its verifier takes every program, and an
# LRU map sized as the daemon sizes it holds what was asked for.
cd "$(dirname "$0")/.." || exit 1
[ -n "${VMTEST:-}" ] || exec vmtest/vmrun "vmtest/${0##*/}"
. tests/lib/tap.sh

obj=build/bpf/xipsec.bpf.o
dir=/sys/fs/bpf/load_test
mkdir $dir $dir/maps
if tap_check "the verifier of $(uname -r) takes every program" \
	bpftool prog loadall $obj $dir/progs pinmaps $dir/maps; then
	for p in "$dir"/progs/*; do
		tap_check "${p##*/} is compiled to machine code" grep -q '"jited":true' \
			<(bpftool -j prog show pinned "$p")
	done
	tap_check "xdp_cipher attaches natively to a veth" eval 'ip link add name va type veth peer name vb &&
		ip link set dev va xdpdrv pinned $dir/progs/xdp_cipher &&
		ip -d link show va | grep -q "prog/xdp "'
	ip link del va
	tap_comment "programs and their sizes:"
	tap_comment "$(bpftool prog show | grep -A 2 -E 'name (xdp|tc)_' | grep -E 'name|xlated')"
fi
bpftool prog loadall $obj $dir/again > /tmp/load.log 2>&1
tap_check "type information is accepted, so dumps show names" \
	test -z "$(grep -i 'BTF is optional' /tmp/load.log)"
rm -rf $dir

# lru_holds WANTED: of WANTED keys put in, how many are found in a map of max(2 * WANTED, 256 *
# CPUs)
lru_holds() {
	local wanted=$1 size map=/sys/fs/bpf/lru_$1
	size=$((256 * $(cpus_possible)))
	((size >= 2 * wanted)) || size=$((2 * wanted))
	bpftool map create "$map" type lru_hash key 4 value 4 entries $size name "lru_$wanted" || return 1
	for ((i = 0; i < wanted; i++)); do
		printf 'map update pinned %s key hex %02x %02x %02x %02x value hex 00 00 00 01\n' \
			"$map" $((i & 255)) $((i >> 8 & 255)) $((i >> 16 & 255)) 0
	done > /tmp/lru.batch
	bpftool batch file /tmp/lru.batch > /dev/null || return 1
	bpftool -j map dump pinned "$map" | tr '{' '\n' | grep -c '"key"'
}

# the kernel sizes per-CPU parts by possible CPUs, not by those online
cpus_possible() {
	local range
	range=$(< /sys/devices/system/cpu/possible)
	echo $((${range##*-} + 1))
}

for n in 16 64 256; do
	tap_is "an LRU map asked to hold $n holds $n" "$(lru_holds $n)" $n
done
tap_done
