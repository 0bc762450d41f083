#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two gateways whose daemons run under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer: traffic, misses and
# evictions, rekeys, changes of SAs and policies under traffic, every command, restart. Nothing may be reported.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ping jq nc
XI_DAEMON=$XI_BUILD/asan/xipsecd
[ -x "$XI_DAEMON" ] || tap_skip_all "$XI_DAEMON is not built; make asan builds it"
export ASAN_OPTIONS=detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1

net_up || tap_skip_all "cannot make network namespaces"
N=24
start_gw() {
	start_daemon "$1" "$(gw_conf "$1" '[cache]' 'sa-entries = 4' 'flow-entries = 64')"
}
# flow I of N: 10.1.1.(100+I) <-> 10.1.2.(100+I), its own pair of SAs and its own policies
flow_lines() {
	local n=${1#gw} i=$2 generation=$3 peer out in dir
	peer=$((3 - n))
	out=$((0x10000 * generation + 0x100 * n + i))
	in=$((0x10000 * generation + 0x100 * peer + i))
	# over the generations one reqid
	sa_lines 192.0.2.$n 192.0.2.$peer $out "$(sa_key $out)" flag esn replay-window 1024 |
		sed "s/reqid [0-9]*/reqid $((0x100 * n + i))/"
	sa_lines 192.0.2.$peer 192.0.2.$n $in "$(sa_key $in)" flag esn replay-window 64 |
		sed "s/reqid [0-9]*/reqid $((0x100 * peer + i))/"
	[ "$generation" = 1 ] || return 0
	echo "xfrm policy add src 10.1.$n.$((100 + i)) dst 10.1.$peer.$((100 + i)) dir out" \
		"tmpl src 192.0.2.$n dst 192.0.2.$peer proto esp reqid $((0x100 * n + i)) mode tunnel"
	for dir in in fwd; do
		echo "xfrm policy add src 10.1.$peer.$((100 + i)) dst 10.1.$n.$((100 + i)) dir $dir" \
			"tmpl src 192.0.2.$peer dst 192.0.2.$n proto esp reqid $((0x100 * peer + i)) mode tunnel"
	done
}
all_flows() {
	local i
	for ((i = 0; i < N; i++)); do
		flow_lines "$1" $i "$2"
	done
}
load_both() {
	all_flows gw1 "$1" | load_lines gw1 && all_flows gw2 "$1" | load_lines gw2
}
ping_flow() {
	net_in h1 ping -q -c "$2" -i 0.002 -W 1 -I 10.1.1.$((100 + $1)) 10.1.2.$((100 + $1)) | grep -q ' 0% packet loss'
}
ping_all() {
	local i
	for ((i = 0; i < N; i++)); do
		ping_flow $i 3 && continue
		echo "flow $i"
		for gw in gw1 gw2; do
			gwctl $gw xipsec stats
		done
		return 1
	done
}
tcp_through() {
	rm -f "$XI_TMP/got"
	head -c 1000000 /dev/urandom > "$XI_TMP/blob"
	net_bg sink h2 timeout 20 sh -c "nc -l -p 7000 > $XI_TMP/got"
	wait_for 5 net_in h2 sh -c 'ss -Hltn sport = :7000 | grep -q .' || return 1
	net_in h1 timeout 20 nc -N -s 10.1.1.100 10.1.2.100 7000 < "$XI_TMP/blob" || return 1
	wait_for 5 cmp "$XI_TMP/blob" "$XI_TMP/got"
}
# while packets of every flow are on their way: policies come, go and change, SAs are rekeyed, deleted and flushed
changes() {
	local i dir
	for ((i = 0; i < N; i++)); do
		net_bg "flood$i" h1 ping -q -i 0.01 -c 10000 -W 1 -I 10.1.1.$((100 + i)) 10.1.2.$((100 + i))
	done
	load_both 3 || return 1
	for ((i = 0; i < N; i += 2)); do
		echo "xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi $((0x10000 + 0x100 + i))"
		echo "xfrm state delete src 192.0.2.2 dst 192.0.2.1 proto esp spi $((0x10000 + 0x200 + i))"
		echo "xfrm policy update src 10.1.1.$((100 + i)) dst 10.1.2.$((100 + i)) dir out action block"
		echo "xfrm policy delete src 10.1.2.$((100 + i)) dst 10.1.1.$((100 + i)) dir fwd"
		echo "xfrm policy add src 10.1.1.$((100 + i)) dst 10.9.0.0/16 proto udp dport $i dir out action block"
	done > "$XI_TMP/changes"
	for dir in 1 2 3; do
		gwctl gw1 xipsec run ip -force -batch "$XI_TMP/changes" > /dev/null 2>&1
		gwctl gw1 xipsec show -j > /dev/null || return 1
		gwctl gw1 xipsec cache -j > /dev/null || return 1
	done
	gwctl gw1 xipsec xfrm state flush && gwctl gw2 xipsec xfrm policy flush || return 1
	load_both 1 > /dev/null 2>&1
	gwctl gw1 xipsec xfrm state flush && gwctl gw1 xipsec xfrm policy flush &&
		gwctl gw2 xipsec xfrm state flush && gwctl gw2 xipsec xfrm policy flush &&
		load_both 1
}
end_floods() {
	local i
	for ((i = 0; i < N; i++)); do
		kill "${xi_pids["bg flood$i"]}"
		unset "xi_pids[bg flood$i]"
	done
}
every_command() {
	local c
	for c in show stats cache 'show -j' 'stats -j' 'cache -j' 'xfrm -s state list' 'xfrm policy list' \
		'xfrm state count' 'xfrm state get dst 192.0.2.1 proto esp spi 1' 'xfrm monitor all'; do
		# shellcheck disable=SC2086
		gwctl gw1 xipsec $c < /dev/null > "$XI_TMP/out" 2>&1 &
		xi_pids["bg cmd"]=$!
		wait_for 1 process_gone $!  || kill $!
	done
	unset 'xi_pids[bg cmd]'
	echo 'add nonsense' | gwctl gw1 xipsec run ip xfrm -batch - > /dev/null 2>&1
	return 0
}
clean() {
	! grep -A 30 -E 'Sanitizer|runtime error' "$XI_TMP/$1.log"
}

for gw in gw1 gw2; do
	start_gw $gw || { tap_not_ok "daemon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
	for ((i = 0; i < N; i++)); do
		echo "addr add 10.1.${gw#gw}.$((100 + i))/32 dev lan0"
	done | net_in "h${gw#gw}" ip -batch -
done
tap_check "$N flows with an SA pair each, 4 context slots" load_both 1
tap_check "ping through each of them" ping_all
tap_check "TCP" tcp_through
tap_check "rekey of all" load_both 2
tap_check "ping through each of them again" ping_all
tap_check "SAs and policies change under traffic" changes
end_floods
tap_check "every command" every_command
tap_check "traffic goes on" ping_all
tap_check "SIGTERM: exit status 0" stop_daemon gw1
tap_check "start again on the maps that were left" start_gw gw1
tap_check "traffic goes on after that" ping_all
for gw in gw1 gw2; do
	tap_check "$gw: SIGTERM: exit status 0" stop_daemon $gw
	tap_check "$gw: nothing was reported" clean $gw
done
tap_done
