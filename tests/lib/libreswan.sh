# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# libreswan's pluto in the namespaces of tests/lib/netns.sh. Source tap.sh, netns.sh and ike_peer.sh first; of ike.sh, a
# CA's functions are used where a test calls ike_ca.
#
# Lines for connections: $NETS, $V6 (addresses), $NETS6, $CERT.
#
#   need_libreswan               skips the file where its package cannot be had
#   lsw_gateways GW...           xipsecd in gw1 and gw2, a CA, a certificate of each, and pluto in GW..., or the file ends
#   lsw_start GW                 pluto in that namespace; its XFRM goes to the namespace's xipsecd. Its files, nss and
#                                pluto.log among them, are in $XI_TMP/GW.pluto
#   lsw_stop GW; lsw_kill GW     as its own unit ends it, which tells the peers; SIGKILL
#   lsw_load GW N P NAME         a connection from stdin, with %n and %p in it for N and P, after the lines of lsw_common;
#                                loaded in the place of what had that name
#   lsw_load_pair NAME           the same text into gw1 (%n 1, %p 2) and gw2 (%n 2, %p 1)
#   lsw_unload GW NAME           deletes it, its SAs and its policies
#   lsw_up GW NAME               initiates it: 0 when its child SA is installed
#   lsw_down GW NAME             terminates it
#   lsw_route GW NAME            traps its traffic
#   lsw_whack GW ARG...          whack of that pluto
#   lsw_log GW                   prints its log
#   lsw_logged GW N PATTERN      at least N lines of its log match
#   sprung NAME GW FROM TO       tests: a ping by a trap of GW makes a tunnel, and down again
#   trapped GW                   a policy for networks stands
#   lsw_cert GW                  gw1 or gw2: the CA, key and certificate of ike_cert into its NSS database; before lsw_start

B=$XI_BUILD
. tests/lib/pluto.sh

# rekeying is for tests that ask for it
lsw_common='
	ikev2=insist
	authby=secret
	left=192.0.2.%n
	right=192.0.2.%p
	leftupdown=%disabled
	rightupdown=%disabled
	mobike=no
	fragmentation=yes
	retransmit-timeout=10s
	replay-window=128
	auto=ignore
'

# shellcheck disable=SC2034
{
	NETS='leftsubnet=10.1.%n.0/24
		rightsubnet=10.1.%p.0/24'
	V6='left=2001:db8::%n
		right=2001:db8::%p'
	NETS6="$V6
		leftsubnet=fd00:%n::/64
		rightsubnet=fd00:%p::/64"
	CERT='authby=ecdsa
		leftcert=gw%n
		leftid=gw%n@xipsec.test
		rightid=gw%p@xipsec.test'
}

need_libreswan() {
	local lacks
	unshare -m true 2> /dev/null || tap_skip_all "no mount namespaces here"
	pluto_get || tap_skip_all "libreswan's package cannot be had here"
	lacks=$(pluto_lacks)
	[ -z "$lacks" ] || tap_skip_all "pluto lacks ${lacks//$'\n'/, } here; run make deps"
}

lsw_dir() { echo "$XI_TMP/$1.pluto"; }

lsw_listens() { [ "$(grep -c "listening for IKE" "$XI_TMP/$1.pluto/pluto.log")" -ge 1 ] && lsw_whack "$1" --status; }

lsw_start() {
	local gw=$1 dir=$XI_TMP/$1.pluto
	mkdir -p "$dir"
	[ -e "$dir/ipsec.secrets" ] || echo ': PSK "not a secret at all"' > "$dir/ipsec.secrets"
	[ ! -e "$dir/pluto.log" ] || cat "$dir/pluto.log" >> "$dir/pluto.log.before"
	rm -f "$dir/run/pluto."*
	LD_PRELOAD=$PWD/$XI_BUILD/libxipsec-xfrm.so pluto_start "$XI_NS-$gw" "$dir"
	xi_pids["bg pluto-$gw"]=$PLUTO_PID
	PLUTO_PID=
	wait_for 30 lsw_listens "$gw" && return 0
	echo "pluto of $gw did not start; its log:"
	tail -n 20 "$dir/pluto.log"
	return 1
}

# lsw_gone GW: it has ended, and what ran it
lsw_gone() {
	local pid=${xi_pids["bg pluto-$1"]} rc=0
	wait_for 15 process_gone "$pid" || { kill -KILL "$pid"; rc=1; }
	wait "$pid" 2> /dev/null
	unset 'xi_pids["bg pluto-'"$1"'"]'
	return $rc
}

lsw_stop() {
	lsw_whack "$1" --shutdown
	lsw_gone "$1"
}

lsw_kill() {
	kill -KILL "$(< "$XI_TMP/$1.pluto/run/pluto.pid")"
	lsw_gone "$1"
}

lsw_gateways() {
	local gw
	ike_ca > "$XI_TMP/ca.log" 2>&1
	for gw in gw1 gw2; do
		tap_check "xipsecd of $gw" start_daemon $gw || tap_done
		mkdir -p "$XI_TMP/$gw.swanctl/"{x509,x509ca,private}
		tap_check "a certificate of $gw" ike_cert $gw
		[[ " $* " == *" $gw "* ]] || continue
		tap_check "for pluto" lsw_cert $gw
		tap_check "pluto of $gw" lsw_start $gw || tap_done
	done
}

lsw_whack() { pluto_whack "$XI_TMP/$1.pluto" "${@:2}"; }

lsw_load() {
	local gw=$1 dir=$XI_TMP/$1.pluto
	{
		printf 'config setup\nconn %s' "$4"
		{ echo "$lsw_common"; cat; } | sed "s/%n\\b/$2/g; s/%p\\b/$3/g; s/^\s*/\t/; /^\s*$/d" | awk '
			# the last line of a name counts
			{ name = $1; sub(/=.*/, "", name); if (!(name in line)) order[++n] = name; line[name] = $0 }
			END { print ""; for (i = 1; i <= n; i++) print line[order[i]] }'
	} > "$dir/ipsec.conf"
	pluto_addconn "$dir" "$4" 2>&1
	lsw_whack "$gw" --status | grep -q "\"$4\"" || { cat "$dir/ipsec.conf"; return 1; }
}

lsw_load_pair() {
	local text
	text=$(cat)
	lsw_load gw1 1 2 "$1" <<< "$text" && lsw_load gw2 2 1 "$1" <<< "$text"
}

lsw_unload() { lsw_whack "$1" --name "$2" --delete; }

lsw_up() {
	local out
	out=$(timeout "${IKE_TIMEOUT:-30}" "$PLUTO_ROOT/usr/libexec/ipsec/whack" --ctlsocket "$XI_TMP/$1.pluto/run/pluto.ctl" \
		--name "$2" --initiate)
	[[ $out == *"established Child SA"* ]] || { echo "$out"; return 1; }
}

lsw_down() { lsw_whack "$1" --name "$2" --terminate; }
lsw_route() { lsw_whack "$1" --name "$2" --route; }

lsw_log() { cat "$XI_TMP/$1.pluto"/pluto.log*; }
lsw_logged() { [ "$(lsw_log "$1" | grep -cE -- "$3")" -ge "$2" ]; }

lsw_cert() {
	local dir=$XI_TMP/$1.pluto
	mkdir -p "$dir/nss"
	certutil -N -d "sql:$dir/nss" --empty-password &&
		openssl pkcs12 -export -in "$XI_TMP/$1.swanctl/x509/$1.pem" -inkey "$XI_TMP/$1.swanctl/private/$1.pem" \
			-certfile "$XI_TMP/ca.pem" -name "$1" -passout pass:x -out "$dir/$1.p12" &&
		pk12util -i "$dir/$1.p12" -d "sql:$dir/nss" -W x && certutil -M -d "sql:$dir/nss" -n "CA - xipsec test" -t CT,,
}

trap_pings() { net_in "$1" ping -q -c 20 -i 0.02 -W 10 "$2" | grep ' 0% packet loss'; }
trapped() { [ "$(xfrm_of "$1" xfrm policy list dir out | grep -c '^src 10')" = 1 ]; }
sprung() {
	tap_check "$1: a ping makes pluto negotiate, and none is lost" trap_pings "$3" "$4"
	tap_check "$1: it carries" both_carry 20 "$3" "$4"
	tap_check "$1: pluto takes it down" lsw_down "$2" t
	tap_check "$1: at both ends" wait_for 10 none_left
}
