#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The transforms alone against scapy's IPsec: every algorithm, mode and family that scapy has. No root, no wire;
# test_scapy.sh is the same through a gateway, for a few.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
/usr/bin/python3 -c 'import scapy, cryptography' 2> /dev/null ||
	tap_skip_all "python3-scapy is not installed; run make deps"
B=${B:-build}
make -s B="$B" "$B/tests/interop/espkit" >&2 || exit 1
engines=(openssl)
if "$B/tests/interop/espkit" ipsec-mb < /dev/null 2> /dev/null; then
	engines+=(ipsec-mb)
else
	echo "# engine ipsec-mb is not usable on this CPU"
fi
exec /usr/bin/python3 -B tests/interop/esp_scapy.py "$B/tests/interop/espkit" "${engines[@]}"
