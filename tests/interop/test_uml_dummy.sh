#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 120
#
# Dummy packets (RFC 4303 section 2.6) to Linux. It throws them away as it must, but not in silence, as the RFC wants it:
# esp_input_done2() makes an error of next header 59 and xfrm_input() counts XfrmInStateProtoError, in either mode, once
# the ICV was verified.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/sas.sh
. tests/lib/uml_matrix.sh
need_tools ip ethtool jq ping

matrix_up
key=$(sa_key 1)
sas() {
	echo "xfrm state add src $1 dst $2 proto esp spi $3 reqid $(($3)) mode $4 replay-window 32 aead rfc4106(gcm(aes)) $5 128"
}
lines() {
	sas 192.0.2.1 192.0.2.2 0x3001 tunnel "$key"
	sas 192.0.2.2 192.0.2.1 0x3002 tunnel "$(sa_key 2)"
	sas 192.0.2.1 192.0.2.2 0x3003 transport "$(sa_key 3)"
	sas 2001:db8::1 2001:db8::2 0x3004 tunnel "$(sa_key 4)"
	sas 2001:db8::1 2001:db8::2 0x3005 transport "$(sa_key 5)"
}
policy() {
	echo "xfrm policy add src $1 dst $2 dir $3 tmpl src $4 dst $5 proto esp reqid $(($6)) mode tunnel"
}
tap_check "SAs and policies of the kernel" uml_run <<- END
	set -e
	ip -batch - <<- LINES
		$(lines)
		$(policy 10.1.1.2/32 10.1.2.1/32 in 192.0.2.1 192.0.2.2 0x3001)
		$(policy 10.1.2.1/32 10.1.1.2/32 out 192.0.2.2 192.0.2.1 0x3002)
	LINES
END
load_lines gw1 <<- END
	$(lines)
	$(policy 10.1.1.2/32 10.1.2.1/32 out 192.0.2.1 192.0.2.2 0x3001)
	$(policy 10.1.2.1/32 10.1.1.2/32 fwd 192.0.2.2 192.0.2.1 0x3002)
END
# its counters of errors that are not 0
kernel_errors() {
	uml_run <<< "grep -v '[[:space:]]0\$' /proc/net/xfrm_stat | xargs"
}
kernel_got() {
	uml_run <<< "awk '/XfrmInStateProtoError/ { print \$2 }' /proc/net/xfrm_stat"
}
got() {
	[ "$(kernel_got)" -ge "$1" ]
}

tap_check "echo requests are answered" net_in h1 ping -q -c 3 -i 0.01 -W 2 10.1.2.1
tap_is "the kernel has no error" "$(kernel_errors)" ""
n=0
for spi in 0x3001 0x3003 0x3004 0x3005; do
	tap_check "dummy packets on SA $spi" gwctl gw1 xipsec dummy -n 5 $spi
	tap_check "each gets as far as its next header" wait_for 10 got $((n += 5))
done
tap_is "and that is all the kernel complains of: no ICV, no state, no policy" "$(kernel_errors)" \
	"XfrmInStateProtoError 20"
tap_check "echo requests are answered in between" net_in h1 ping -q -c 3 -i 0.01 -W 2 10.1.2.1
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
