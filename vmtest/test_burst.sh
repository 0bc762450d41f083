#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
#
# Burst transmit on Debian's 6.1 kernel, against that kernel's own ESP:
#
#   h1 10.1.1.2 --- gw1 (xipsecd, tx = burst) 192.0.2.1 === wan === 192.0.2.2 peer (kernel ESP) 10.1.2.1
#
# Every packet that one side counts on an SA must be counted by the other.
cd "$(dirname "$0")/.." || exit 1
[ -n "${VMTEST:-}" ] || exec vmtest/vmrun "vmtest/${0##*/}"
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh

FLOOD=$XI_BUILD/tests/net/flood
out=$(tunnel_spi 1 4 4) in=$(tunnel_spi 2 4 4)

setup() {
	net_up wan gw1 h1 && net_add peer && net_plug peer eth0 192.0.2.2/24 2001:db8::2/64 &&
		net_addr peer lo 10.1.2.1/32 &&
		net_in peer ip route add 10.1.1.0/24 via 192.0.2.1 src 10.1.2.1 &&
		tunnel_lines gw1 4 4 replay-window 1024 flag esn > "$XI_TMP/gw1.lines"
}

load_both() {
	load_lines gw1 < "$XI_TMP/gw1.lines" &&
		sed -e 's/^xfrm //' "$XI_TMP/gw1.lines" | grep '^state' | sed 's/^/xfrm /' | net_in peer ip -batch - &&
		tunnel_lines gw2 | grep policy | net_in peer ip -batch -
}

# counts: packets of both SAs, as our side and as the kernel's side counted them
counts() {
	local ours kernels
	ours=$(gwip gw1 ip -s xfrm state list)
	kernels=$(net_in peer ip -s xfrm state list)
	echo "$(sa_packets "$out" <<< "$ours") $(sa_packets "$out" <<< "$kernels")" \
		"$(sa_packets "$in" <<< "$ours") $(sa_packets "$in" <<< "$kernels")"
}

# both sides are equal, with at least OUT and IN packets on the two SAs
equal() {
	local c
	read -r -a c <<< "$(counts)"
	echo "to the kernel: sent ${c[0]}, arrived ${c[1]}; from it: sent ${c[3]}, arrived ${c[2]}"
	[ "${c[0]}" = "${c[1]}" ] && [ "${c[2]}" = "${c[3]}" ] && [ "${c[0]}" -ge "$1" ] && [ "${c[2]}" -ge "$2" ]
}

reason() {
	gwctl gw1 xipsec stats -j | jq ".reasons.$1"
}

mac() {
	net_in "$1" ip -j link show dev "$2" | jq -r '.[0].address'
}

# to_kernel: packets, up to 200 at once, to a port of the kernel's side that nobody listens on
to_kernel() {
	"$FLOOD" --from "/run/netns/$XI_NS-h1:lan0" --mac "$(mac gw1 lan0)" --src 10.1.1.2 --dst 10.1.2.1 \
		--count 3000 --seconds 60 --window 200 --patience 100
}

# from_kernel: datagrams as fast as the kernel encrypts them, in groups
from_kernel() {
	net_in peer /usr/bin/python3 -S -c '
import select, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.1.2.1", 0))
for group in range(20):
    for i in range(100):
        s.sendto(bytes(100 + i), ("10.1.1.2", 9))
    select.select([], [], [], 0.05)'
}

modprobe -a esp4 xfrm_user gcm
setup || { tap_not_ok "topology"; tap_done; }
conf=$(gw_conf gw1)
sed -i '/^role/a tx = burst' "$conf"
tap_check "the daemon starts on $(uname -r)" start_daemon gw1 "$conf" || tap_done
tap_check "SAs and policies on both sides" load_both
tap_check "the host pings the kernel's side" net_in h1 ping -q -c 10 -i 0.01 -W 3 -s 1300 10.1.2.1
tap_check "the kernel's side pings the host" net_in peer ping -q -c 10 -i 0.01 -W 3 -I 10.1.2.1 10.1.1.2
tap_check "each SA counts as much on both sides" equal 20 20
tap_is "the port to the kernel sends by burst" \
	"$(gwctl gw1 xipsec port -j | jq -r '.ports[] | select(.name == "wan0") | .tx.path')" burst
tap_comment "$(gwctl gw1 xipsec port -j | jq -c '.ports[].tx')"
before=$(reason tx_burst)
tap_check "many packets at once go to the kernel's side" to_kernel
tap_check "they went by burst" [ "$(reason tx_burst)" -gt $((before + 100)) ]
tap_check "and each SA still counts as much on both sides" wait_for 20 equal 2000 20
equal 2000 20 | sed 's/^/# /'
before=$(reason tx_burst)
tap_check "many packets at once come from the kernel's side" from_kernel
tap_check "each SA counts as much on both sides" wait_for 20 equal 2000 2000
equal 2000 2000 | sed 's/^/# /'
tap_comment "tx_burst before $before, after $(reason tx_burst); burst_call $(reason burst_call)," \
	"burst_slow $(reason burst_slow), burst_pause $(reason burst_pause), burst_lost $(reason burst_lost)"
tap_check "the kernel's side met no error" eval '! grep -E "Error|Mismatch|Invalid|SeqError" \
	<(net_in peer cat /proc/net/xfrm_stat) | grep -v "[[:space:]]0$"'
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
