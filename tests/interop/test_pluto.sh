#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# libreswan's pluto, unchanged, starts on the XFRM server as on a kernel: its probes are answered, its
# policies for neighbour discovery are there, and it does not mind a restart.
#
# timeout: 90
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
. tests/lib/tap.sh
. tests/lib/xfrm_server.sh
. tests/lib/pluto.sh
need_root
need_tools ip nsenter unshare
unshare -mn true 2> /dev/null || tap_skip_all "no network and mount namespaces here"
pluto_get || tap_skip_all "libreswan's package cannot be had here"
lacks=$(pluto_lacks)
[ -z "$lacks" ] || tap_skip_all "pluto lacks ${lacks//$'\n'/, } here"
make -s B="$B" "$B/tests/interop/xfrm_serverd" "$B/libxipsec-xfrm.so" >&2 || exit 1

xs_begin
unset XIPSEC_XFRM_SOCK
NS=xi-pluto-$$ DIR=$XS_DIR/pluto
finish() {
	pluto_stop "$DIR"
	xs_end
	ip netns del $NS 2> /dev/null
}
trap finish EXIT
ip netns add $NS || exit 1
in_ns() { nsenter --net=/run/netns/$NS "$@"; }
xfrm() { in_ns env LD_PRELOAD="$XS_PRELOAD" ip xfrm "$@" 2>&1; }
in_ns ip link set lo up
in_ns ip addr add 192.0.2.1/24 dev lo

mkdir "$DIR"
cat > "$DIR/ipsec.conf" <<- END
	config setup
	conn test
	    left=192.0.2.1
	    right=192.0.2.2
	    leftsubnet=10.1.1.0/24
	    rightsubnet=10.1.2.0/24
	    leftupdown=%disabled
	    authby=secret
	    ikev2=insist
	    mobike=yes
	    auto=ondemand
END
echo '192.0.2.1 192.0.2.2 : PSK "for a test"' > "$DIR/ipsec.secrets"

xs_start nsenter --net=/run/netns/$NS
LD_PRELOAD=$XS_PRELOAD pluto_start $NS "$DIR"
tap_check "pluto starts" wait_for 30 pluto_ready "$DIR" || {
	tap_comment "$(tail -n 20 "$DIR/pluto.log")"
	tap_done
}
listens() { grep -q "listening for IKE" "$DIR/pluto.log"; }
tap_check "and listens" wait_for 30 listens
tap_is "its policies let neighbour discovery pass" \
	"$(xfrm policy list | grep -c 'proto ipv6-icmp type 13[56]')" 6
tap_is "in each direction" "$(xfrm policy list | grep -A 1 'proto ipv6-icmp' | grep -o 'dir [a-z]*' | sort | uniq -c | tr -s ' ')" \
	" 2 dir fwd
 2 dir in
 2 dir out"
tap_is "none of them is the kernel's" "$(in_ns ip xfrm policy list | grep -c icmp)" 0
loads() { pluto_addconn "$DIR" test; }
tap_check "a connection with mobike, for which it probes MIGRATE" loads
loaded() { pluto_whack "$DIR" --status | grep -q '"test"'; }
tap_check "is loaded" wait_for 10 loaded
tap_check "the probe read no garbage" test "$(grep -ci "unexpected\|bad message\|recvfrom() failed" "$DIR/pluto.log")" = 0
pluto_whack "$DIR" --route --name test > "$DIR/route" 2>&1
trapped() { xfrm policy list | grep -q 'src 10.1.1.0/24 dst 10.1.2.0/24'; }
tap_check "its trap policy is installed" wait_for 10 trapped

xs_stop
xs_start nsenter --net=/run/netns/$NS
pluto_whack "$DIR" --unroute --name test > "$DIR/unroute" 2>&1
pluto_whack "$DIR" --route --name test > "$DIR/route" 2>&1
tap_check "after a restart of the server it installs it again" wait_for 10 trapped
tap_check "pluto is still there" pluto_ready "$DIR"
stops() {
	pluto_stop "$DIR"
	grep -q "Pluto is shutting down" "$DIR/pluto.log"
}
tap_check "and ends when it is told to" stops
tap_done
