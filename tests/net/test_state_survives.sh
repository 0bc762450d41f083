#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Invariant 4: kill -9 loses no SA, no policy, no counter; a new daemon adopts the pinned maps and carries on.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ping jq

net_up || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	start_daemon $gw || { tap_not_ok "daemon of $gw starts"; tap_done; }
	{
		tunnel_lines $gw 4 4 flag esn replay-window 1024
		tunnel_lines $gw 6 6 replay-window 64
	} | load_lines $gw
done
gwctl gw1 xipsec xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi 0x7777 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(sa_key 9)" 128 flag esn replay-oseq 7 replay-oseq-hi 3 replay-window 64
net_in h1 ping -q -c 100 -i 0.002 -W 1 10.1.2.2 > /dev/null
net_in h1 ping -q -c 50 -i 0.002 -W 1 fd00:2::2 > /dev/null

databases() {
	gwctl gw1 xipsec xfrm -s state list | grep -v 'lastused\|use ' | sort
	gwctl gw1 xipsec xfrm policy list | sort
}
drops() {
	gwctl gw1 xipsec stats -j | jq -S '.reasons | with_entries(select(.key | test("^(fast|slow|tx|sa_|flow_)")))'
}
databases > "$XI_TMP/before"
drops > "$XI_TMP/stats-before"
tap_check "there is something to lose" grep -q 0x00007777 "$XI_TMP/before"
tap_check "kill -9" kill_daemon gw1
tap_check "start again" start_daemon gw1 "$XI_TMP/gw1.conf"
databases > "$XI_TMP/after"
drops > "$XI_TMP/stats-after"
tap_check "SAs, sequence numbers, replay windows, counters and policies are those of before" \
	diff "$XI_TMP/before" "$XI_TMP/after"
pings() {
	net_in h1 ping -q -c 50 -i 0.002 -W 1 "$1" | grep ' 0% packet loss'
}
not_less() {
	jq -es '.[0] as $a | .[1] as $b | [$a | to_entries[] | select($b[.key] < .value)] | length == 0' \
		"$XI_TMP/stats-before" "$XI_TMP/stats-after"
}
tap_check "no counter went back" not_less
tap_check "traffic goes on over IPv4" pings 10.1.2.2
tap_check "traffic goes on over IPv6" pings fd00:2::2
in_fast() {
	gwctl gw1 xipsec stats -j | jq .reasons.fast_in
}
fast_again() {
	[ "$(in_fast)" -gt "$(jq .fast_in "$XI_TMP/stats-before")" ]
}
tap_check "SAs that were in the cache before are FAST again" fast_again
tap_is "peer saw no replay" "$(gwctl gw2 xipsec stats -j | jq '.reasons.replay + .reasons.replay_old')" 0
tap_check "SIGTERM leaves programs and maps" stop_daemon gw1
tap_check "pinned maps are there" test -e "$XI_BPFFS/gw1/sad"
tap_check "xipsec down takes everything away" gwctl gw1 xipsec down
tap_check "nothing is pinned any more" test ! -e "$XI_BPFFS/gw1/sad"
tap_check "xipsec0 is gone" sh -c "! nsenter --net=/run/netns/$XI_NS-gw1 ip link show xipsec0"
tap_check "no program is left on the port" sh -c "! nsenter --net=/run/netns/$XI_NS-gw1 ip link show wan0 | grep -q xdp"
tap_done
