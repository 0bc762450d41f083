# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# XI_TUNNELS (500) connections between gw1 and gw2, each an IKE SA of its own, brought up at once by gw1; each carries
# traffic in its own SAs, which both ends have counted; then gw1's IKE daemon ends, and takes them all down.
# Source tap.sh, netns.sh, ike.sh and ike_peer.sh first, and what the ends are of (ike_uml.sh, libreswan.sh).
#
#   ike_many GW1 GW2     the whole test. GW1: charon or pluto. GW2: charon, pluto, libipsec (charon with kernel-libipsec) or
#                        uml (charon on Linux's own ESP)

N=${XI_TUNNELS:-500}
# So many at once overrun sockets' buffers: what was lost is sent again soon, and not by all at the same time.
many_lines=("dos_protection = no" "ikesa_table_size = 1024" "ikesa_table_segments = 16" "retransmit_timeout = 2" "retransmit_base = 1.5"
	"retransmit_limit = 5" "retransmit_jitter = 20" "retransmit_tries = 30")

# tunnel i: 10.101.x.y of h1 and 10.102.x.y of h2
many_inner() { echo "10.10$1.$(($2 / 250)).$(($2 % 250 + 1))"; }

# many_net N I: as a selector. kernel-libipsec wants an address of its own in it, for a route.
many_net() {
	if [ "$1 $many_gw2" = "2 libipsec" ]; then
		echo 10.102.0.0/16
	else
		echo "$(many_inner "$1" "$2")/32"
	fi
}

many_routes() {
	local n gw
	[ "$many_gw2" != libipsec ] || net_addr gw2 lan0 10.102.255.254/32
	for n in 1 2; do
		gw=net_in
		[ "$n $many_gw2" != "2 uml" ] || gw=ike_in
		net_in h$n ip route add local 10.10$n.0.0/16 dev lo &&
			$gw gw$n ip route add 10.10$n.0.0/16 via 10.1.$n.2 &&
			$gw gw$n ip route add 10.10$((3 - n)).0.0/16 via 192.0.2.$((3 - n)) || return
	done
}

# many_daemon GW KIND: xipsecd where it is needed, and the IKE daemon
many_daemon() {
	case $2 in
	charon) start_daemon "$1" && ike_start "$1" "${many_lines[@]}" ;;
	pluto) start_daemon "$1" && lsw_start "$1" ;;
	libipsec) IKE_KERNEL=libipsec IKE_ROUTES=yes ike_start "$1" "${many_lines[@]}" ;;
	esac
}

many_gateways() {
	if [ "$many_gw2" = uml ]; then
		ike_uml_up "${many_lines[@]}"
	else
		net_up || tap_skip_all "cannot make network namespaces"
		tap_check "$many_gw1 in gw1" many_daemon gw1 "$many_gw1" || tap_done
		tap_check "$many_gw2 in gw2" many_daemon gw2 "$many_gw2" || tap_done
	fi
	tap_check "networks for $N tunnels" many_routes || tap_done
}

# many_charon N P ACTION
many_charon() {
	local i esp=aes128gcm16-esn
	[ "$many_gw2" != libipsec ] || esp=aes128gcm16
	{
		echo "connections {"
		for ((i = 0; i < N; i++)); do
			cat <<- END
				t$i : wan, psk { keyingtries = 0
				  local { id = t$i-%n }
				  proposals = aes128-sha256-x25519, aes256gcm16-prfsha512-modp2048
				  remote { id = t$i-%p }
				  children { t$i { local_ts = $(many_net "$1" $i)
				                   remote_ts = $(many_net "$2" $i)
				                   esp_proposals = $esp
				                   start_action = $3 } } }
			END
		done
		echo "}"
	} | ike_load "gw$1" "$1" "$2"
}

# many_pluto N P ACTION
many_pluto() {
	local i common=${lsw_common/retransmit-timeout=10s/retransmit-timeout=120s}
	{
		echo "config setup"
		for ((i = 0; i < N; i++)); do
			cat <<- END
				conn t$i
				leftid=@t$i-%n
				rightid=@t$i-%p
				leftsubnet=$(many_net "$1" $i)
				rightsubnet=$(many_net "$2" $i)
				esp=aes_gcm128
				esn=yes
				${common/auto=ignore/auto=${3/none/add}}
			END
		done | sed "s/%n\\b/$1/g; s/%p\\b/$2/g; s/^\s*/\t/; /^\s*$/d; s/^\tconn /conn /"
	} > "$XI_TMP/gw$1.pluto/ipsec.conf"
	pluto_addconn "$XI_TMP/gw$1.pluto" --autoall
}

# many_connections N ACTION
many_connections() {
	local kind=many_gw$1
	case ${!kind} in
	pluto) many_pluto "$1" $((3 - $1)) "$2" ;;
	*) many_charon "$1" $((3 - $1)) "$2" ;;
	esac
}

# SAs of GW that have keys, one a line: the tunnel's number in GW, "in" or "out", packets
many_sas() {
	case $1:$many_gw2 in
	gw2:libipsec) ike_sas gw2 | jq -r '.[].children[] | select(.state == "INSTALLED") |
		"\(.reqid) in \(.["packets-in"])", "\(.reqid) out \(.["packets-out"])"' ;;
	*) xfrm_of "$1" -s xfrm state list | awk -v own="192.0.2.${1#gw}" '
		/^src/ { dir = $2 == own ? "out" : "in"; keys = 0 }
		/^\tproto/ { reqid = $6 + 0 }
		/^\taead/ { keys = 1 }
		keys && /^\t *[0-9]+\(bytes\), [0-9]+\(packets\)/ { print reqid, dir, $2 + 0; keys = 0 }' ;;
	esac
}
# many_are GW [PACKETS]: of each tunnel there are SAs both ways, which have carried so many packets. An answer that was lost
# to a busy IKE daemon may have made it begin anew, and leave a tunnel with a pair of SAs more.
many_are() {
	many_sas "$1" > "$XI_TMP/sas"
	awk -v want=$((N * 2)) -v packets="${2:-}" '
		{ sas[$1 " " $2]++; sum[$1 " " $2] += $3 }
		END {
			for (s in sas) {
				n++
				if (packets == "" || sum[s] == packets)
					good++
				else if (++told <= 10)
					print "tunnel", s ":", sum[s], "packets, by", sas[s], "SAs"
			}
			print NR " SAs; " n + 0 " of " want " directions, " good + 0 " of them as wanted"
			exit !(n == want && good == want)
		}' "$XI_TMP/sas" | tee "$XI_TMP/sas.$1"
	return "${PIPESTATUS[0]}"
}
# The cheap question first: asking for all SAs again and again takes longer than making them. Among those counted are
# some without keys.
many_counted() {
	local n
	case $1:$many_gw2 in
	gw2:libipsec) n=$(swan gw2 --stats) && n=${n#*IKE_SAs: } && n=$((${n%% *} * 2)) ;;
	*) n=$(xfrm_of "$1" xfrm state count) && n=${n#*SAD count } && n=${n%%[!0-9]*} ;;
	esac
	[ "${n:-0}" -ge $((N * 2)) ] && many_are "$1"
}
many_up() {
	wait_for "${MANY_SECONDS:-150}" many_counted "$1" || {
		many_are "$1"
		xfrm_of "$1" xfrm state count
		return 1
	}
}
many_none() { [ "$(many_sas "$1" | wc -l)" = 0 ]; }

many_pings() {
	local i bad
	for ((i = 0; i < N; i++)); do
		echo "t$i $(many_inner 1 $i) $(many_inner 2 $i)"
	done | net_in h1 tests/lib/echoes.py 56,1200,56,56 > "$XI_TMP/echoes"
	bad=$(grep -vc ' ok$' "$XI_TMP/echoes")
	[ "$bad" = 0 ] && [ "$(wc -l < "$XI_TMP/echoes")" = "$N" ] && return 0
	grep -v ' ok$' "$XI_TMP/echoes" | head
	return 1
}

# many_stop GW
many_stop() {
	case $1:$many_gw1:$many_gw2 in
	gw2:*:uml) uml_ike_stop TERM ;;
	gw1:pluto:* | *:pluto) lsw_stop "$1" ;;
	*) ike_stop "$1" ;;
	esac
}
# An IKE daemon that ends tells all peers at once, and waits for none: pluto and a slow kernel do not hear it all.
many_down() {
	many_stop gw1 && wait_for 60 many_none gw1 || return
	[ "$many_gw1 $many_gw2" != "charon charon" ] || wait_for 60 many_none gw2 || return
	many_stop gw2 || return
	[ "$many_gw2" = libipsec ] || wait_for 60 many_none gw2
}

# many_since START: milliseconds
many_since() { echo $(((${EPOCHREALTIME/[.,]/} - $1) / 1000)); }

ike_many() {
	local gw start
	many_gw1=$1 many_gw2=$2
	many_gateways
	tap_check "gw2 is told of $N connections" many_connections 2 none
	start=${EPOCHREALTIME/[.,]/}
	tap_check "gw1 starts them all" many_connections 1 start
	for gw in gw1 gw2; do
		tap_check "all are up in $gw" many_up $gw || tap_done
		tap_comment "$gw: $(tail -n 1 "$XI_TMP/sas.$gw")"
	done
	tap_comment "$N tunnels in $(many_since "$start") ms, from the first word of their configuration"
	tap_check "each answers pings" many_pings
	for gw in gw1 gw2; do
		tap_check "each of $((N * 2)) SAs of $gw carried 4 packets" many_are $gw 4
	done
	start=${EPOCHREALTIME/[.,]/}
	tap_check "taken down by the end of the IKE daemons, no SA is left" many_down
	tap_comment "taken down in $(many_since "$start") ms"
	tap_done
}
