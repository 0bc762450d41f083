# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# What SAs have counted at both ends, whatever the ends are, as ip -s xfrm state tells it. Source tests/lib/netns.sh first.
#
#   xfrm_of GW ARG...         ip ARG... as the IKE daemon of GW sees it; a test whose gw2 is another kernel has its own
#   both_carry N FROM TO [OPTION...]   N pings, all answered, and the SAs of gw1 and of gw2, in and out, took N packets more
#   both_counted N            the SAs of gw1 and of gw2, in and out, that are there have taken N packets or more
#   both_have N WORD...       N SAs at both ends, and each WORD (a regular expression) N times
#   none_left                 no SA at either end
#   gw_reason_of GW NAME      a counter

xfrm_of() { gwip "$1" ip "${@:2}"; }

# in and out of GW: packets
sa_counts() {
	xfrm_of "$1" -s xfrm state | awk -v gw="${1#gw}" '
		/^src/ { out = $2 ~ ("(^192[.]0[.]2[.]|^2001:db8::)" gw "$") }
		/^[ \t]*[0-9]+\(bytes\), [0-9]+\(packets\)/ { n[out] += $2 }
		END { print n[0] + 0; print n[1] + 0 }'
}

both_counts() {
	sa_counts gw1
	sa_counts gw2
}

both_carry() {
	local n=$1 from=$2 to=$3 before after i wrong=0
	mapfile -t before < <(both_counts)
	net_in "$from" ping -q -c "$n" -i 0.005 -W 5 "${@:4}" "$to" | grep ' 0% packet loss' || wrong=1
	mapfile -t after < <(both_counts)
	for i in 0 1 2 3; do
		[ $((after[i] - before[i])) = "$n" ] || wrong=1
	done
	[ $wrong = 0 ] && return 0
	echo "packets in and out of gw1, in and out of gw2: ${before[*]}, then ${after[*]}"
	return 1
}

both_counted() {
	local n
	for n in $(both_counts); do
		[ "$n" -ge "$1" ] || return 1
	done
}

both_have() {
	local n=$1 gw word sas
	shift
	for gw in gw1 gw2; do
		sas=$(xfrm_of $gw xfrm state | those_with_keys)
		for word in '^src' "$@"; do
			[ "$(grep -cE -- "$word" <<< "$sas")" = "$n" ] && continue
			echo "$gw: \"$word\" is not there $n times:"
			sed 's/0x[0-9a-f]\{24,\}/KEY/' <<< "$sas"
			return 1
		done
	done
}

none_left() { both_have 0; }

gw_reason_of() { gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"; }
