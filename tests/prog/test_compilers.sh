#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The BPF object compiles without a warning, and the running kernel takes it, with every clang we promise. TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
bpftool=$(ls /usr/sbin/bpftool 2>/dev/null || echo bpftool)
tmp=$(mktemp -d)
bpffs=$tmp/bpffs
trap 'umount "$bpffs" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

mkdir "$bpffs"
if ! mount -t bpf bpf "$bpffs" 2>"$tmp/mount"; then
	echo "1..0 # SKIP cannot mount a bpffs: $(cat "$tmp/mount"): run as root"
	exit 0
fi

n=0
failed=0
result() { # ok|not ok, text
	n=$((n + 1))
	echo "$1 $n - $2"
	if [ "$1" != ok ]; then
		failed=1
		sed 's/^/# /' "$tmp/log"
	fi
}

echo 1..6
for clang in clang-14 clang-19; do
	if ! command -v "$clang" >/dev/null; then
		for step in compiles loads types; do
			result ok "$clang: $step # SKIP $clang is not installed"
		done
		continue
	fi
	object=$tmp/$clang/bpf/xipsec.bpf.o
	if make -C "$top" B="$tmp/$clang" BPF_CLANG="$clang" "$object" >"$tmp/log" 2>&1 &&
	   ! grep -q 'warning:' "$tmp/log"; then
		result ok "$clang: compiles without a warning"
	else
		result 'not ok' "$clang: compiles without a warning"
	fi
	if "$bpftool" -d prog loadall "$object" "$bpffs/$clang" >"$tmp/full" 2>&1; then
		result ok "$clang: the kernel's verifier takes every program"
	else
		tail -n 40 "$tmp/full" >"$tmp/log"
		result 'not ok' "$clang: the kernel's verifier takes every program"
	fi
	if grep -E 'BTF is optional|Retrying without BTF' "$tmp/full" >"$tmp/log"; then
		result 'not ok' "$clang: the kernel takes the types of every map"
	else
		result ok "$clang: the kernel takes the types of every map"
	fi
	rm -rf "${bpffs:?}/$clang"
done
exit $failed
