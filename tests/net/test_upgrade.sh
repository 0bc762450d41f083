#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A daemon takes over pinned maps only when they are what it would make itself; else it says what to do, changes nothing,
# and what the old programs held back stays held back.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools jq tcpdump bpftool
PINS=$XI_BPFFS/gw1

net_up || tap_skip_all "cannot make network namespaces"
# small maps: all of them are looked at
small_conf() {
	gw_conf gw1 > /dev/null
	sed -i "/^\[daemon\]/a max-sas = 2048" "$XI_TMP/gw1.conf"
	echo "$XI_TMP/gw1.conf"
}
conf=$(small_conf)

# refused TEXT...: it does not start, and says each of these
refused() {
	local text
	: > "$XI_TMP/refused"
	! nsenter --net="/run/netns/$XI_NS-gw1" -- timeout 20 "$XI_DAEMON" -c "$conf" --run-dir "$XI_TMP/run-gw1" \
		--pin-dir "$PINS" > "$XI_TMP/refused" 2>&1 || { cat "$XI_TMP/refused"; return 1; }
	cat "$XI_TMP/refused"
	for text; do
		grep -qF -- "$text" "$XI_TMP/refused" || { echo "not said: $text"; return 1; }
	done
}

# a first start that is cut short or fails
with_sas() {
	conf=$(small_conf)
	sed -i "/^\[daemon\]/a sas = $XI_TMP/wrong.sas\nstate-dir = $XI_TMP/state" "$conf"
}
gone() {
	[ ! -e "$PINS" ]
}
echo 'xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 mode tunnel' > "$XI_TMP/wrong.sas"
chmod 600 "$XI_TMP/wrong.sas"
with_sas
tap_check "a first start whose file of SAs is wrong fails" refused 'wrong.sas:1:'
tap_check "and leaves nothing pinned" gone
conf=$(small_conf)
mkdir -p "$PINS"
bpftool map create "$PINS/sad" type hash key 4 value 96 entries 64 name sad flags 1
bpftool map create "$PINS/config" type array key 4 value 32 entries 1 name config
bpftool map create "$PINS/other" type array key 4 value 4 entries 1 name other
tap_check "maps of a start that was cut short do not matter, whatever their layout" start_daemon gw1 "$conf"
tap_check "the log says that they were removed" grep -q 'cut short' "$XI_TMP/gw1.log"
tap_check "a map of somebody else's is left alone" test -e "$PINS/other"

tap_check "gw2 starts" start_daemon gw2
for gw in gw1 gw2; do
	tunnel_lines $gw | load_lines $gw
done
traffic() {
	net_in h1 ping -q -c 5 -i 0.01 -W 1 10.1.2.2 | grep ' 0% packet loss'
}
silence() {
	net_in h1 ping -q -c 3 -i 0.01 -W 0.3 10.1.2.2 | grep ' 100% packet loss'
}
tap_check "traffic" wait_for 10 traffic
stop_daemon gw1

# what must not change: maps, what is in them, programs
everything() {
	local name
	# xipsec0 hears the host's own multicast now and then, which counts
	for name in "$PINS"/*; do
		case $name in
		*/xdp_* | */tc_* | */sa_window | */stats | */worker_stats | */misses | */miss_* | */*_cache) continue ;;
		esac
		echo "$name $(bpftool -j map show pinned "$name" | jq -c '[.id, .max_entries]')"
		bpftool -j map dump pinned "$name" 2> /dev/null | md5sum
	done
	net_in gw1 ip -d link show | grep -o 'prog/xdp id [0-9]*'
}
unchanged() {
	everything > "$XI_TMP/after"
	diff "$XI_TMP/before" "$XI_TMP/after"
}
# abi N: writes that version into the pinned maps
abi() {
	local bytes
	bytes=$(bpftool -j map dump pinned "$PINS/config" | jq -r '.[0].value[4:] | join(" ")')
	# shellcheck disable=SC2086
	bpftool map update pinned "$PINS/config" key 0 0 0 0 value "$1" 0 0 0 $bytes
}
ours=$(bpftool -j map dump pinned "$PINS/config" | jq -r '.[0].value[0]')
ours=$((ours))
capture_start wan br 'icmp'
for other in 5 $((ours + 1)); do
	abi $other
	everything > "$XI_TMP/before"
	tap_check "maps of ABI $other are refused, both versions named" \
		refused "ABI version $other," "version $ours" 'xipsec down'
	tap_check "nothing changed" unchanged
	tap_check "what was protected stays held back" silence
done
abi $ours
bpftool map create "$XI_TMP/bpf/wrong" type hash key 28 value 8 entries 64 name sad_lookup flags 1
mv "$PINS/sad_lookup" "$XI_BPFFS/kept"
mv "$XI_BPFFS/wrong" "$PINS/sad_lookup"
everything > "$XI_TMP/before"
tap_check "a map of another layout is refused by name" refused sad_lookup 'size of its values' 'xipsec down'
tap_check "nothing changed" unchanged
rm "$PINS/sad_lookup"
tap_check "a missing map with state is refused by name" refused sad_lookup 'xipsec down'
tap_check "what was protected stays held back" silence
capture_stop wan br
tap_is "packets in clear on the wire" "$(pcap_count "$XI_TMP/wan-br.pcap")" 0
mv "$XI_BPFFS/kept" "$PINS/sad_lookup"

conf=$(gw_conf gw1 '[cache]' 'sa-entries = 2048' 'flow-entries = 1024')
sed -i "/^\[daemon\]/a max-sas = 4096" "$conf"
: > "$XI_TMP/gw1.log"
tap_check "with everything in its place again, and other sizes configured, it starts" start_daemon gw1 "$conf"
keeps() {
	grep -q "$1 = $2: stays $3, the size of what is pinned; .*xipsec down" "$XI_TMP/gw1.log" ||
		{ cat "$XI_TMP/gw1.log"; return 1; }
}
tap_check "and says that max-sas stays" keeps max-sas 4096 2048
tap_check "that sa-entries stays" keeps sa-entries 2048 1024
tap_check "and flow-entries" keeps flow-entries 1024 65536
tap_is "each once" "$(grep -c 'stays .*, the size of what is pinned' "$XI_TMP/gw1.log")" 3
tap_is "xipsec show says what holds" "$(gwctl gw1 xipsec show -j | jq -c '[.cache.capacity, .flows.capacity]')" "[1024,65536]"
tap_check "traffic goes on" wait_for 10 traffic
stop_daemon gw1
rm "$PINS/encap_ports" "$PINS/local_addrs"
tap_check "maps without state are made anew" start_daemon gw1 "$conf"
tap_check "traffic goes on after that" wait_for 10 traffic
tap_check "xipsec down takes everything away" gwctl gw1 xipsec down
tap_check "the pin directory is gone" gone
tap_done
