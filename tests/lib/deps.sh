#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Debian packages that the build and the tests need; installs what is missing, else says nothing.
#
#   tests/lib/deps.sh [--list] [build | peers]
#     --list: says what is missing instead; build: what the build needs, and no more; peers: those of the benchmark's peers
#     too (make bench-peers)
set -eu

build="build-essential pkg-config clang-14 llvm-14 clang-19 bpftool linux-libc-dev
	libbpf-dev libxdp-dev libelf-dev zlib1g-dev libnl-3-dev libnl-route-3-dev libnl-xfrm-3-dev libssl-dev
	libipsec-mb-dev liburcu-dev libevent-dev libjansson-dev libinih-dev libcmocka-dev uthash-dev
	libclang-rt-14-dev"
net="iproute2 ethtool iputils-ping tcpdump iperf3 tshark python3-scapy python3-cryptography
	procps util-linux kmod jq mandoc strace netcat-openbsd nftables openssl
	strongswan-swanctl charon-systemd libstrongswan-standard-plugins libstrongswan-extra-plugins
	libcharon-extra-plugins libnss3-tools libldns3 libunbound8 libcurl3-nss libevent-pthreads-2.1-7 dns-root-data"
vm="user-mode-linux qemu-system-x86 linux-image-amd64 linux-headers-amd64 linux-source-6.1 busybox-static cpio
	xz-utils systemd apparmor"
# other people's gateways, which only the benchmark runs; testpmd is in dpdk-dev
peers="dpdk-dev librte-net-af-xdp23 wireguard-go wireguard-tools"

list=
want="$build $net $vm"
for arg; do
	case $arg in
	--list) list=yes ;;
	build) want=$build ;;
	peers) want+=" $peers" ;;
	*) echo "deps: $arg: not understood; usage: tests/lib/deps.sh [--list] [build | peers]" >&2; exit 2 ;;
	esac
done

known=$(dpkg-query -W -f '${Package}\t${db:Status-Status}\n' 2>/dev/null || true)
missing=
for p in $want; do
	case $'\n'$known$'\n' in
	*$'\n'"$p"$'\tinstalled\n'*) ;;
	*) missing+=" $p" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ -n "$list" ]; then
	echo "${missing# }"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "deps: no apt-get here; install the equivalents of:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: packages are missing and only root can install them; run: sudo apt-get install$missing" >&2
	exit 1
fi
# the IKE daemon is a test's peer: installing it must not start one on this machine
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e /usr/sbin/policy-rc.d ]; then
	trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}
# shellcheck disable=SC2086
if ! { apt update && apt install -y --no-install-recommends $missing; } > "$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "deps: apt-get failed; check the network and /etc/apt/sources.list (Debian 12 main), then try again" >&2
	exit 1
fi
