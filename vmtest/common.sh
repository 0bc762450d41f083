# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Which kernel to boot, and where what is made for it is kept. Sourced from the repository root.

# shellcheck disable=SC2034
VM_CACHE=${B:-build}/vm

# The newest 6.1 kernel that has its modules here: prints its version, 1 if there is none.
vm_kernel() {
	local image version
	if [ -n "${KVER:-}" ]; then
		echo "$KVER"
		return
	fi
	for image in $(printf '%s\n' /boot/vmlinuz-6.1* | sort -rV); do
		version=${image#/boot/vmlinuz-}
		case $version in
		*-cloud-* | *-rt-*) continue ;; # without the devices of this machine
		esac
		if [ -f "$image" ] && [ -d "/lib/modules/$version" ]; then
			echo "$version"
			return
		fi
	done
	return 1
}

# Prints what is missing for a virtual machine, and returns 1 then.
vm_missing() {
	local t
	for t in qemu-system-x86_64 busybox cpio modprobe /usr/bin/python3; do
		command -v "$t" > /dev/null || { echo "$t is not installed; run make deps"; return 1; }
	done
	[ "$(uname -m)" = x86_64 ] || { echo "the virtual machine needs an x86-64 host"; return 1; }
	vm_kernel > /dev/null || { echo "no Debian 6.1 kernel under /boot; run make deps"; return 1; }
	[ -r "/boot/vmlinuz-$(vm_kernel)" ] || { echo "cannot read the kernel image: run as root"; return 1; }
}
