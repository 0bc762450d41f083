# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2016,SC2154
# Gateways and hosts in network namespaces. Source tests/lib/tap.sh first.
#
#     h1             gw1                 wan                  gw2             h2
#   +------+     +-----------+       +---------+       +-----------+     +------+
#   | lan0 |-----|lan0   wan0|-------|w1  br  w2|-------|wan0   lan0|-----| lan0 |
#   +------+     +-----------+       +---------+       +-----------+     +------+
#   10.1.1.2     10.1.1.1                                   10.1.2.1     10.1.2.2
#   fd00:1::2    fd00:1::1                                 fd00:2::1     fd00:2::2
#                     192.0.2.1      192.0.2.254      192.0.2.2
#                     2001:db8::1    2001:db8::fe     2001:db8::2
#
# wan is a bridge, so a test can watch the wire, or be an attacker on it, from a third place.
# Each namespace is called $XI_NS-NAME; the functions take the bare NAME (h1, gw1, wan, ...).
#
#   net_up [NAME...]             make the topology: all five, or these (gw1 wan gw2 h1 h2)
#   net_in NAME CMD ARG...       run CMD in the namespace (bpffs stays visible, unlike ip netns
#                                exec); ping is tests/lib/ping.py, which loses no late answer
#   net_add NAME                 one more namespace, on the bridge: net_plug NAME DEV V4 V6
#   gw_conf GW [LINE...]         write and name GW's standard configuration, with more lines at its
#                                end
#   start_daemon GW [CONF [ARG...]]   start xipsecd and wait until it says that it is ready
#   stop_daemon GW               SIGTERM, wait; returns its exit status.  kill_daemon GW: kill -9
#   gwctl GW xipsec ARG...       run the control tool against GW's daemon
#   gwip GW CMD ARG...          run a program, such as ip -s xfrm state, whose XFRM netlink goes to
#                               GW's daemon
#   sa_packets SPI               from the output of ip -s xfrm state on stdin: packets of that SA
#   capture_start NAME DEV [FILTER]; capture_stop NAME DEV: $XI_TMP/NAME-DEV.pcap, complete
#   only_esp PCAP                true when ESP, and nothing but ESP, ARP and ND, was on the wire
#   not_on_wire PCAP TEXT        true when TEXT occurs in no packet
#
# Variables to set before net_up: XI_QUEUES (1), XI_WAN_MTU (1600), XI_LAN_MTU (1500).
# XI_SNAPLEN: bytes of a packet that captures keep (all); few make the buffer hold more packets.
# XI_BUILD (build) names the build directory of the programs, XI_DAEMON another xipsecd than the one in it.

XI_NS=xi-$$
XI_TMP=$(mktemp -d "${TMPDIR:-/tmp}/xi-test.XXXXXX")
XI_BUILD=${XI_BUILD:-build}
XI_DAEMON=${XI_DAEMON:-$XI_BUILD/xipsecd}
XI_QUEUES=${XI_QUEUES:-1}
XI_WAN_MTU=${XI_WAN_MTU:-1600}
XI_LAN_MTU=${XI_LAN_MTU:-1500}
XI_BPFFS=$XI_TMP/bpf

declare -A xi_pids=()      # "daemon gw1" or "capture wan w1" or "bg ..." -> process id
xi_namespaces=()

net_cleanup() {
	local rc=$? p n
	trap - EXIT INT TERM HUP
	for p in "${xi_pids[@]}"; do
		kill -TERM "$p" 2> /dev/null
	done
	for p in "${xi_pids[@]}"; do
		wait_for 2 process_gone "$p" || kill -KILL "$p" "-$p" 2> /dev/null # what leads a group, with it
	done
	for n in "${xi_namespaces[@]}"; do
		ip netns pids "$XI_NS-$n" 2> /dev/null | xargs -r kill -KILL 2> /dev/null
		ip netns del "$XI_NS-$n" 2> /dev/null
	done
	mountpoint -q "$XI_BPFFS" && umount -l "$XI_BPFFS"
	[ -n "${XI_KEEP:-}" ] || rm -rf "$XI_TMP"
	exit $rc
}
trap net_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A child that has ended stays a zombie until it is waited for.
process_gone() {
	local state
	[ -e "/proc/$1/stat" ] || return 0
	state=$(sed 's/.*) //' "/proc/$1/stat" 2> /dev/null)
	[ -z "$state" ] || [ "${state%% *}" = Z ]
}

net_in() {
	local ns=$XI_NS-$1
	shift
	if [ "$1" = ping ]; then
		shift
		set -- tests/lib/ping.py "$@"
	fi
	nsenter --net="/run/netns/$ns" -- "$@"
}

# net_bg LABEL NAME CMD...: in the background, ended at cleanup; output in $XI_TMP/LABEL.log
net_bg() {
	local label=$1 ns=$XI_NS-$2
	shift 2
	if [ "$1" = ping ]; then
		shift
		set -- tests/lib/ping.py "$@"
	fi
	# here, for the child may come to it only after somebody has read what an earlier one wrote
	: > "$XI_TMP/$label.log"
	# not net_in: $! would be a shell around CMD, not CMD itself
	nsenter --net="/run/netns/$ns" -- "$@" > "$XI_TMP/$label.log" 2>&1 &
	xi_pids["bg $label"]=$!
}

net_add() {
	local n
	for n; do
		xi_namespaces+=("$n")
		ip netns add "$XI_NS-$n" || return 1
	done
	for n; do
		# all: devices that exist; default: those to come
		net_in "$n" sh -c '
			ip link set lo up
			cd /proc/sys/net
			for d in all default; do
				echo 0 > ipv4/conf/$d/rp_filter
				echo 0 > ipv6/conf/$d/accept_dad
				echo 0 > ipv6/conf/$d/router_solicitations
			done
			echo 1 > ipv4/ip_forward
			echo 1 > ipv6/conf/all/forwarding' || return 1
	done
}

# net_veth NAME1 DEV1 NAME2 DEV2 MTU: a veth pair that hides nothing from XDP: a sender behind a
# veth leaves checksums to hardware that is not there (tx off), and frames that XDP redirects into
# a veth vanish unless its other end has XDP or GRO (gro on).
net_veth() {
	local q="numrxqueues $XI_QUEUES numtxqueues $XI_QUEUES" end
	# shellcheck disable=SC2086
	ip link add name "$2" netns "$XI_NS-$1" mtu "$5" $q type veth \
		peer name "$4" netns "$XI_NS-$3" mtu "$5" $q || return 1
	for end in "$1 $2" "$3 $4"; do
		net_in "${end% *}" sh -c '
			ip link set "$1" up
			ethtool -K "$1" tx off gro on > /dev/null' sh "${end#* }" || return 1
	done
}

# net_addr NAME DEV ADDRESS/LEN...
net_addr() {
	local name=$1 dev=$2 a
	shift 2
	for a; do
		case $a in
		*:*) echo "addr add $a dev $dev nodad" ;;
		*) echo "addr add $a dev $dev" ;;
		esac
	done | net_in "$name" ip -batch -
}

# net_plug NAME DEV V4 V6: another namespace's device on the wan bridge
net_plug() {
	net_veth "$1" "$2" wan "$1" "$XI_WAN_MTU" &&
		net_in wan ip link set dev "$1" master br &&
		net_addr "$1" "$2" "$3" "$4"
}

net_wan() {
	net_in wan ip link add name br type bridge mcast_snooping 0 &&
		net_in wan ip link set dev br mtu "$XI_WAN_MTU" up &&
		net_addr wan br 192.0.2.254/24 2001:db8::fe/64
}

# net_gw N: gateway N and its device on the bridge
net_gw() {
	local gw=gw$1 peer=$((3 - $1))
	net_veth "$gw" wan0 wan "w$1" "$XI_WAN_MTU" &&
		net_in wan ip link set dev "w$1" master br &&
		net_addr "$gw" wan0 "192.0.2.$1/24" "2001:db8::$1/64" &&
		net_in "$gw" ip route add "10.1.$peer.0/24" via "192.0.2.$peer" &&
		net_in "$gw" ip -6 route add "fd00:$peer::/64" via "2001:db8::$peer"
}

# net_host N: host N behind gateway N
net_host() {
	net_veth "h$1" lan0 "gw$1" lan0 "$XI_LAN_MTU" &&
		net_addr "h$1" lan0 "10.1.$1.2/24" "fd00:$1::2/64" &&
		net_addr "gw$1" lan0 "10.1.$1.1/24" "fd00:$1::1/64" &&
		net_in "h$1" ip route add default via "10.1.$1.1" &&
		net_in "h$1" ip -6 route add default via "fd00:$1::1"
}

net_up() {
	local n
	[ $# -gt 0 ] || set -- wan gw1 gw2 h1 h2
	net_add "$@" || return 1
	for n in wan gw1 gw2 h1 h2; do
		case " $* " in
		*" $n "*) ;;
		*) continue ;;
		esac
		case $n in
		wan) net_wan ;;
		gw?) net_gw "${n#gw}" ;;
		h?) net_host "${n#h}" ;;
		esac || return 1
	done
	mkdir -p "$XI_BPFFS"
	mount -t bpf "$XI_NS" "$XI_BPFFS" && mount --make-private "$XI_BPFFS"
}

gw_conf() {
	local gw=$1
	shift
	{
		printf '[daemon]\nrun-dir = %s\npin-dir = %s\n' "$XI_TMP/run-$gw" "$XI_BPFFS/$gw"
		printf '[port wan0]\nrole = cipher\n'
		if net_in "$gw" test -e /proc/sys/net/ipv4/conf/lan0; then
			printf '[port lan0]\nrole = plain\n'
		fi
		[ $# = 0 ] || printf '%s\n' "$@"
	} > "$XI_TMP/$gw.conf"
	echo "$XI_TMP/$gw.conf"
}

start_daemon() {
	local gw=$1 conf=${2:-} sock=$XI_TMP/$1.notify waiter daemon
	shift $(($# > 1 ? 2 : 1))
	[ -n "$conf" ] || conf=$(gw_conf "$gw")
	rm -f "$sock"
	/usr/bin/python3 -S tests/lib/notify_wait.py "$sock" $((${XI_START_TIMEOUT:-20} * ${XIPSEC_SLOW:-1})) &
	waiter=$!
	wait_for 10 test -S "$sock" || return 1
	NOTIFY_SOCKET=$sock nsenter --net="/run/netns/$XI_NS-$gw" -- "$XI_DAEMON" -c "$conf" \
		--run-dir "$XI_TMP/run-$gw" --pin-dir "$XI_BPFFS/$gw" "$@" \
		>> "$XI_TMP/$gw.log" 2>&1 &
	daemon=$!
	xi_pids["daemon $gw"]=$daemon
	until process_gone $waiter; do
		if process_gone $daemon; then
			kill $waiter
			break
		fi
		read -r -t 0.02 -u "$tap_pause" || :
	done
	if ! wait $waiter 2> /dev/null; then
		echo "xipsecd of $gw did not become ready; its log:"
		tail -n 30 "$XI_TMP/$gw.log"
		return 1
	fi
}

daemon_pid() {
	echo "${xi_pids["daemon $1"]:-}"
}

# signal_daemon GW SIGNAL: send it and wait for the end; returns the exit status
signal_daemon() {
	local pid=${xi_pids["daemon $1"]:?no daemon runs in $1} rc
	kill "-$2" "$pid"
	if ! wait_for 10 process_gone "$pid"; then
		echo "xipsecd of $1 did not end on SIG$2"
		kill -KILL "$pid"
	fi
	wait "$pid" 2> /dev/null
	rc=$?
	unset 'xi_pids["daemon '"$1"'"]'
	return $rc
}

stop_daemon() {
	signal_daemon "$1" TERM
}

kill_daemon() {
	signal_daemon "$1" KILL
	[ $? = 137 ]
}

gwctl() {
	local gw=$1
	shift
	if [ "$1" = xipsec ]; then
		shift
		set -- "$XI_BUILD/xipsec" --run-dir "$XI_TMP/run-$gw" --pin-dir "$XI_BPFFS/$gw" "$@"
	fi
	net_in "$gw" "$@"
}

gwip() {
	local gw=$1
	shift
	net_in "$gw" env LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" "$@"
}

sa_packets() {
	awk -v spi="$(printf 'spi 0x%08x(' "$1")" '
		/proto [a-z]+ spi/ { mine = index($0, spi) }
		mine && /^[ \t]*[0-9]+\(bytes\), [0-9]+\(packets\)/ { print $2 + 0; found = 1 }
		END { exit !found }'
}

capture_start() {
	local name=$1 dev=$2 log=$XI_TMP/$1-$2.tcpdump
	# here, as in net_bg: an earlier capture of this device said that it listens
	: > "$log"
	nsenter --net="/run/netns/$XI_NS-$name" -- tcpdump -n -U --immediate-mode -Z root -B 16384 -s "${XI_SNAPLEN:-0}" -i "$dev" \
		-w "$XI_TMP/$name-$dev.pcap" "${3:-}" 2> "$log" &
	xi_pids["capture $name $dev"]=$!
	wait_for 10 grep -q 'listening on' "$log"
}

# Complete means: the file has stopped growing before tcpdump ends, and the kernel dropped nothing.
capture_stop() {
	local pid=${xi_pids["capture $1 $2"]:-} file=$XI_TMP/$1-$2.pcap size=-1 same=0 now
	[ -n "$pid" ] || return 1
	while [ $same -lt 5 ]; do
		now=$(stat -c %s "$file") || return 1
		if [ "$now" = "$size" ]; then ((++same)); else same=0; fi
		size=$now
		read -r -t 0.02 -u "$tap_pause" || :
	done
	kill -TERM "$pid"
	wait "$pid" 2> /dev/null
	unset 'xi_pids["capture '"$1 $2"'"]'
	grep -q '^0 packets dropped by kernel' "$XI_TMP/$1-$2.tcpdump" && return 0
	echo "capture on $1 $2 is incomplete"
	return 1
}

XI_ESP_FILTER='ip proto 50 or ip6 proto 50 or udp port 4500'
# ND and multicast listener reports are the only cleartext that a wire under policy carries, and the frame
# to itself (Ethernet configuration test protocol) by which a port is tried
XI_LINK_FILTER='arp or ether proto 0x9000 or ip6[6] = 0 or (icmp6 and ip6[40] >= 133 and ip6[40] <= 137)'

pcap_list() {
	tcpdump -n -r "$1" "${@:2}" 2> /dev/null
}

pcap_count() {
	pcap_list "$@" | wc -l
}

only_esp() {
	local clear
	clear=$(pcap_list "$1" "not ($XI_ESP_FILTER or $XI_LINK_FILTER)")
	if [ -n "$clear" ]; then
		echo "cleartext on the wire:"
		head -n 20 <<< "$clear"
		return 1
	fi
	[ "$(pcap_count "$1" "$XI_ESP_FILTER")" -gt 0 ] || { echo "no ESP on the wire"; return 1; }
}

not_on_wire() {
	[ -s "$1" ] && ! LC_ALL=C grep -aqF -- "$2" "$1"
}
