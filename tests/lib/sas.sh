# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# SAs and policies for the topology of tests/lib/netns.sh, as `ip -batch` lines.
#
#   sa_lines SRC DST SPI KEY [OPTION...]       one SA; KEY: hex of key and salt, or of cipher key and integrity key
#   tunnel_lines GW [OUTER [INNER [OPTION...]]]  both SAs of a tunnel gw1 == gw2 and GW's three policies; OUTER and
#                                              INNER: 4 or 6; OPTION: more words for each SA (flag esn ...)
#   load_lines GW                              reads lines on stdin into GW's daemon by `xipsec xfrm`
#
# SA_AUTH (none) selects AES-CBC with hmac(sha1) and so on in the place of AES-GCM.
# SA_KEY_BITS (128) selects the key length, SA_BASE (0x1000) the SPIs: SA_BASE+1 is gw1 -> gw2, SA_BASE+2 the way
# back; with an IPv6 outer header 0x10 more, with an IPv6 inner packet 0x20 more.

SA_KEY_BITS=${SA_KEY_BITS:-128}
SA_BASE=${SA_BASE:-0x1000}

# key and ICV of SA_AUTH, bits
declare -A sa_auth_bits=(["hmac(sha1)"]="160 96" ["hmac(sha256)"]="256 128" ["hmac(sha384)"]="384 192" ["hmac(sha512)"]="512 256")

# sa_key N: key and salt, or both keys, of SA number N, any fixed bytes
sa_key() {
	local out bits=32
	[ -z "${SA_AUTH:-}" ] || bits=${sa_auth_bits[$SA_AUTH]% *}
	out=$(printf 'xipsec test key %d %d' "$1" "$SA_KEY_BITS" | sha512sum)
	out=${out:0:128}$(sha512sum <<< "$out")
	echo "0x${out:0:$(((SA_KEY_BITS + bits) / 4))}"
}

# sa_algs KEY: the words for its algorithms
sa_algs() {
	local end=$((2 + SA_KEY_BITS / 4))
	if [ -z "${SA_AUTH:-}" ]; then
		echo "aead rfc4106(gcm(aes)) $1 128"
	else
		echo "enc cbc(aes) ${1:0:$end} auth-trunc $SA_AUTH 0x${1:$end} ${sa_auth_bits[$SA_AUTH]#* }"
	fi
}

sa_lines() {
	local src=$1 dst=$2 spi=$3 key=$4
	shift 4
	echo "xfrm state add src $src dst $dst proto esp spi $spi reqid $((spi)) mode tunnel $(sa_algs "$key") $*"
}

outer_addr() {
	if [ "$2" = 6 ]; then echo "2001:db8::$1"; else echo "192.0.2.$1"; fi
}

inner_net() {
	if [ "$2" = 6 ]; then echo "fd00:$1::/64"; else echo "10.1.$1.0/24"; fi
}

tunnel_spi() {
	local n=$1 outer=$2 inner=$3
	printf '0x%x' $((SA_BASE + n + (outer == 6 ? 16 : 0) + (inner == 6 ? 32 : 0)))
}

tunnel_lines() {
	local n=${1#gw} outer=${2:-4} inner=${3:-4} peer out in dir
	peer=$((3 - n))
	shift $(($# > 3 ? 3 : $#))
	# as in the kernel, an SA without a selector carries the family of its outer header alone unless told otherwise
	[ "$outer" = "$inner" ] || set -- flag af-unspec "$@"
	out=$(tunnel_spi "$n" "$outer" "$inner")
	in=$(tunnel_spi "$peer" "$outer" "$inner")
	sa_lines "$(outer_addr "$n" "$outer")" "$(outer_addr "$peer" "$outer")" "$out" "$(sa_key $((out)))" "$@"
	sa_lines "$(outer_addr "$peer" "$outer")" "$(outer_addr "$n" "$outer")" "$in" "$(sa_key $((in)))" "$@"
	echo "xfrm policy add src $(inner_net "$n" "$inner") dst $(inner_net "$peer" "$inner") dir out" \
		"tmpl src $(outer_addr "$n" "$outer") dst $(outer_addr "$peer" "$outer") proto esp reqid $((out)) mode tunnel"
	for dir in in fwd; do
		echo "xfrm policy add src $(inner_net "$peer" "$inner") dst $(inner_net "$n" "$inner") dir $dir" \
			"tmpl src $(outer_addr "$peer" "$outer") dst $(outer_addr "$n" "$outer") proto esp reqid $((in)) mode tunnel"
	done
}

load_lines() {
	gwctl "$1" xipsec run ip -batch -
}
