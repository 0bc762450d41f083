#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The machine is the one that the other tests believe to be in.
cd "$(dirname "$0")/.." || exit 1
[ -n "${VMTEST:-}" ] || exec vmtest/vmrun "vmtest/${0##*/}"
. tests/lib/tap.sh

tap_is "Debian's 6.1 kernel runs" "$(uname -r | grep -o '^6\.1\.')" 6.1.
tap_check "the kernel's own ESP is there" modprobe -a esp4 esp6 xfrm_user gcm
tap_check "an SA of the kernel can be made" ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp \
	spi 0x1000 mode tunnel aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128
ip xfrm state flush
tap_check "bpffs is mounted" mountpoint -q /sys/fs/bpf
tap_check "the kernel describes its types (BTF)" test -s /sys/kernel/btf/vmlinux
tap_check "a BPF map can be made and pinned" bpftool map create /sys/fs/bpf/boot_map type hash \
	key 4 value 4 entries 8 name boot_map
tap_done
