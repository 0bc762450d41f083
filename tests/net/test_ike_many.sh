#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 240
# XI_TUNNELS (500) connections between two gateways, brought up at once; each carries traffic, in its own SAs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
N=${XI_TUNNELS:-500}

net_up || tap_skip_all "cannot make network namespaces"
# tunnel i: 10.101.x.y of h1 and 10.102.x.y of h2
for n in 1 2; do
	net_in h$n ip route add local 10.10$n.0.0/16 dev lo
	net_in gw$n ip route add 10.10$n.0.0/16 via 10.1.$n.2
	net_in gw$n ip route add 10.10$((3 - n)).0.0/16 via 192.0.2.$((3 - n))
done
ike_gateways "dos_protection = no" "ikesa_table_size = 1024" "ikesa_table_segments = 16"

inner() { echo "10.10$1.$(($2 / 250)).$(($2 % 250 + 1))"; }
# connections GW ACTION
connections() {
	local n=${1#gw} p i
	p=$((3 - n))
	{
		echo "connections {"
		for ((i = 0; i < N; i++)); do
			cat <<- END
				t$i : wan, psk { local { id = t$i-%n }
				  remote { id = t$i-%p }
				  children { t$i { local_ts = $(inner $n $i)/32
				                   remote_ts = $(inner $p $i)/32
				                   esp_proposals = aes128gcm16-esn
				                   start_action = $2 } } }
			END
		done
		echo "}"
	} | ike_load "$1" $n $p
}
pings() {
	local i bad
	for ((i = 0; i < N; i++)); do
		echo "t$i $(inner 1 $i) $(inner 2 $i)"
	done | net_in h1 tests/lib/echoes.py 56,1200,56,56 > "$XI_TMP/echoes"
	bad=$(grep -vc ' ok$' "$XI_TMP/echoes")
	[ "$bad" = 0 ] && [ "$(wc -l < "$XI_TMP/echoes")" = "$N" ] && return 0
	grep -v ' ok$' "$XI_TMP/echoes" | head
	return 1
}
all_up() { [ "$(gwip "$1" ip xfrm state list | grep -c 'aead')" = $((N * 2)) ]; }
# every SA of GW has carried so many packets
each_carried() {
	gwctl "$1" xipsec show -j | jq -e --argjson sas $((N * 2)) --argjson n "$2" '(.sas | length) == $sas and all(.sas[]; .packets == $n)' && return 0
	gwctl "$1" xipsec show -j | jq -c '.sas | group_by(.packets)[] | [.[0].packets, length]'
	return 1
}

tap_check "gw2 is told of $N connections" connections gw2 none
start=${EPOCHREALTIME/[.,]/}
tap_check "gw1 starts them all" connections gw1 start
for gw in gw1 gw2; do
	tap_check "all are up in $gw" wait_for 120 all_up $gw
done
tap_comment "$N tunnels in $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms, from the first word of their configuration"
tap_check "each answers pings" pings
for gw in gw1 gw2; do
	tap_check "each of $((N * 2)) SAs of $gw carried 4 packets" each_carried $gw 4
done
# down: all IKE SAs at one time
start=${EPOCHREALTIME/[.,]/}
tap_check "charon of gw1 ends" ike_stop gw1
for gw in gw1 gw2; do
	tap_check "no SA is left in $gw" wait_for 60 sas_are $gw 0
done
tap_comment "taken down in $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
tap_done
