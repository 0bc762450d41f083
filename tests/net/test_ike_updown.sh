#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# updown scripts of charon: the ip xfrm in them speaks to the same xipsecd as charon does.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
# says what it was called for and what it sees, and adds a policy of its own
cat > "$XI_TMP/updown" <<- 'END'
	#!/bin/sh
	{
		echo "$PLUTO_VERB $PLUTO_MY_CLIENT $PLUTO_PEER_CLIENT sas $(ip xfrm state list | grep -c '^src')"
		case $PLUTO_VERB in
		up-client) ip xfrm policy add src 10.66.0.0/16 dst 10.67.0.0/16 dir out action block && echo added
			echo "with LD_PRELOAD= $(LD_PRELOAD='' ip xfrm policy list | grep -c '^src 10.66')" ;;
		down-client) ip xfrm policy delete src 10.66.0.0/16 dst 10.67.0.0/16 dir out && echo deleted ;;
		esac
	} >> "$0.log" 2>&1
END
chmod +x "$XI_TMP/updown"
connections() {
	ike_load_pair <<- END
		connections { scripts : wan, psk {
		  local { id = scripts%n }
		  remote { id = scripts%p }
		  children { net : nets { updown = $XI_TMP/updown-%n } } } }
	END
}
cp "$XI_TMP/updown" "$XI_TMP/updown-1"
cp "$XI_TMP/updown" "$XI_TMP/updown-2"
extra() { gwip "$1" ip xfrm policy list | grep -c '^src 10.66'; }
tap_check "connections" connections || tap_done
tap_check "a tunnel" ike_up gw1 net || tap_done
tap_check "it carries" carries net 10 h1 10.1.2.2
for n in 1 2; do
	tap_check "gw$n's script ran, and saw both SAs" wait_for 5 grep -qx "up-client 10.1.$n.0/24 10.1.$((3 - n)).0/24 sas 2" "$XI_TMP/updown-$n.log"
	tap_check "gw$n's script added a policy" wait_for 5 grep -qx added "$XI_TMP/updown-$n.log"
	tap_check "which is not there where it asks the kernel on purpose" wait_for 5 grep -qx "with LD_PRELOAD= 0" "$XI_TMP/updown-$n.log"
	tap_is "to gw$n's xipsecd" "$(extra gw$n)" 1
done
tap_is "and not to the kernel" "$(net_in gw1 ip xfrm policy list | grep -c '^src 10.66')" 0
tap_check "the tunnel goes down" ike_down gw1 scripts
for n in 1 2; do
	tap_check "gw$n's script ran" wait_for 5 grep -qx deleted "$XI_TMP/updown-$n.log"
	tap_is "and took its policy away" "$(extra gw$n)" 0
done
tap_done
