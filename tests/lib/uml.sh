# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# A Linux 6.1 kernel with its own ESP and AH on the wan of tests/lib/netns.sh: user-mode Linux, one process tree of this host.
# Source tests/lib/netns.sh first.
#
#   h1 === gw1 === wan --- vu in a namespace "uml": vec0 of the kernel has it by a packet socket
#
#   uml_up            after net_up: boots it in a namespace "uml"; vec0 has gw2's addresses. Skips the whole file when there
#                     is no user-mode Linux or it does not boot
#                     UML_LAN=h2, set before: and a host behind it, by vec1, as net_up makes it behind gw2
#   uml_alone         boots it without a network, nor is net_up needed
#   uml_signal SIGNAL sends it to the kernel, such as STOP and CONT
#   uml_run           runs a bash script (stdin) in it; prints its output, returns its status. 125: no answer

UML_DIR=$XI_TMP/uml
UML_BOOT_SECONDS=60
UML_SECONDS=120            # a command
UML_LIFE_SECONDS=1800      # for the case that nobody is left to end it

# Prints why there can be none.
uml_missing() {
	local t
	for t in linux.uml cc timeout; do
		command -v $t > /dev/null || { echo "$t is not installed; run make deps"; return 1; }
	done
	[ "$(uname -m)" = x86_64 ] || { echo "user-mode Linux is packaged for x86-64 alone"; return 1; }
	[ -d /usr/lib/uml/modules ] || { echo "no modules under /usr/lib/uml/modules; run make deps"; return 1; }
}

# vu has no address and no IPv6: the host's stack must not answer in the kernel's place
uml_net() {
	net_add uml && net_in uml sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6' &&
		net_veth uml vu wan uml "$XI_WAN_MTU" && net_in wan ip link set dev uml master br &&
		net_in uml ip link set dev vu promisc on && { [ -z "${UML_LAN:-}" ] || uml_net_lan; }
}

uml_net_lan() {
	net_add h2 && net_veth uml vl h2 lan0 "$XI_LAN_MTU" && net_in uml ip link set dev vl promisc on &&
		net_addr h2 lan0 10.1.2.2/24 fd00:2::2/64 && net_in h2 ip route add default via 10.1.2.1 &&
		net_in h2 ip -6 route add default via fd00:2::1
}

# uml_start [NETWORK [COMMAND...]]: with devices of these kinds; COMMAND is what runs it
uml_start() {
	local nets
	read -r -a nets <<< "${1:-}"
	shift $(($# > 0))
	mkdir -p "$UML_DIR" && echo 0 > "$UML_DIR/last"
	cc -O2 -Wall -Werror -fPIC -shared -o "$UML_DIR/preload.so" vmtest/uml-{xstate,packet}.c || return 1
	LD_PRELOAD=$UML_DIR/preload.so "$@" timeout -k 3 "$UML_LIFE_SECONDS" \
		linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$PWD/vmtest/uml-init" \
		"umldir=$UML_DIR" "umlsrc=$PWD" con=null con0=null,fd:1 quiet loglevel=3 panic=1 "${nets[@]}" \
		> "$UML_DIR/console" 2>&1 < /dev/null &
	xi_pids[uml]=$!
	wait_for "$UML_BOOT_SECONDS" uml_settled "$UML_DIR/ready" && [ -s "$UML_DIR/ready" ]
}

# The file is there, or nobody is left to write it.
uml_settled() {
	local stat=
	[ ! -s "$1" ] || return 0
	read -r stat 2> /dev/null < "/proc/${xi_pids[uml]}/stat"
	stat=${stat##*) }
	[[ -z $stat || $stat == Z* ]]
}

uml_up() {
	local why
	why=$(uml_missing) || tap_skip_all "$why"
	if ! uml_net > "$XI_TMP/uml.log" 2>&1; then
		tap_not_ok "a namespace for user-mode Linux" "$(< "$XI_TMP/uml.log")"
		tap_done
	fi
	local dev=transport=raw,depth=128,gro=0
	uml_boot "vec0:$dev,ifname=vu,mtu=$XI_WAN_MTU,mac=02:00:00:00:02:02${UML_LAN:+ vec1:$dev,ifname=vl,mtu=$XI_LAN_MTU,mac=02:00:00:00:02:03}" \
		nsenter --net="/run/netns/$XI_NS-uml" --
	tap_check "user-mode Linux $(< "$UML_DIR/ready") on the wire" uml_config || tap_done
}

uml_alone() {
	local why
	why=$(uml_missing) || tap_skip_all "$why"
	uml_boot
}

uml_boot() {
	local why
	if ! uml_start "$@" >> "$XI_TMP/uml.log" 2>&1; then
		tap_comment "$(tail -q -n 40 "$XI_TMP/uml.log" "$UML_DIR/console")"
		why=$(head -n 1 "$UML_DIR/console")
		tap_skip_all "user-mode Linux does not boot here: ${why:-it ended without a word}"
	fi
}

uml_config() {
	uml_run <<- END
		set -e
		for d in all default; do
			echo 0 > /proc/sys/net/ipv4/conf/\$d/rp_filter
			echo 0 > /proc/sys/net/ipv6/conf/\$d/accept_dad
			echo 0 > /proc/sys/net/ipv6/conf/\$d/router_solicitations
		done
		ip -batch - <<- LINES
			link set dev vec0 up
			addr add 192.0.2.2/24 dev vec0
			addr add 2001:db8::2/64 dev vec0 nodad
			route add default via 192.0.2.1
			route add default via 2001:db8::1
		LINES
		[ -z "${UML_LAN:-}" ] || ip -batch - <<- LINES
			link set dev vec1 up
			addr add 10.1.2.1/24 dev vec1
			addr add fd00:2::1/64 dev vec1 nodad
		LINES
		# packets come out of its ESP into a queue that is emptied half as fast as it may be filled
		echo 100000 > /proc/sys/net/core/netdev_max_backlog
		echo 1 > /proc/sys/net/ipv4/ip_forward
		echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
	END
}

# timeout, which runs it, does not pass on those that stop
uml_signal() { pkill "-$1" -P "${xi_pids[uml]}"; }

uml_run() {
	local n f
	n=$(($(< "$UML_DIR/last") + 1))
	f=$UML_DIR/$n
	echo $n > "$UML_DIR/last"
	cat > "$f.new" && mv "$f.new" "$f.cmd"
	wait_for "$UML_SECONDS" uml_settled "$f.rc"
	[ -e "$f.out" ] && cat "$f.out"
	if [ ! -s "$f.rc" ]; then
		echo "user-mode Linux did not answer; its console:"
		tail -n 20 "$UML_DIR/console"
		return 125
	fi
	return "$(< "$f.rc")"
}
