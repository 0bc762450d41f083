# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# Every algorithm against the kernel of tests/lib/uml.sh: all rows of a table at once, each with an address of its own at
# the far end, so that one boot and few processes serve a thousand cases.
#
#   h1 10.1.1.2 ---+
#                  +- gw1 192.0.2.1 === 192.0.2.2 kernel: 10.1.2.N and 10.8.2.N for row N
#      10.8.1.1 ---+  2001:db8::1       2001:db8::2       fd00:2::N    fd08:2::N
#
# Tunnels carry 10.1.1.2 <-> 10.1.2.N (IPv6: fd00:1::2 <-> fd00:2::N). In transport mode and in bundles gw1 itself is the
# host: 10.8.1.1 <-> 10.8.2.N (fd08:1::1 <-> fd08:2::N).
#
# Source tests/lib/tap.sh first.
#
#   matrix_up                               topology, kernel, daemon; skips the file or ends it when that cannot be
#   esp_rows, ah_rows, bundle_rows O I      a row a line: SET|NAME|PROTOCOL WORDS[|PROTOCOL WORDS]; the second SA of a bundle
#                                           is the outer one. @BITS in WORDS: that many bits of fresh key
#   matrix_group MODE OUTER INNER ESN ENCAP rows on stdin. MODE: tunnel, transport, bundle; OUTER, INNER: 4 or 6; ESN: esn or
#                                           no-esn; ENCAP: udp or plain. One result a row: passed when each echo of each
#                                           size was answered, whoever asked, and each SA counted each packet at both ends
#   matrix_sweep MODE ENCAP ROWS            matrix_group for all families, with and without ESN; ROWS: esp_rows ...
#   matrix_down                             the end of the file
#   matrix_carries SET                      is it in XI_MATRIX?
#
# XI_MATRIX: the sets of rows, modes and encap (in UDP) that are run; all of them unless told otherwise.

. tests/lib/netns.sh
. tests/lib/peer.sh
. tests/lib/uml.sh
need_root
need_tools ip ethtool jq

MATRIX_ALL="gcm gcm-short cbc ccm chacha gmac ctr null cmac tunnel transport encap ah bundle ah-atomic"
XI_MATRIX=${XI_MATRIX:-$MATRIX_ALL}
MATRIX_ROWS_MAX=99
# 1500 bytes inside fit with any transform around them
# shellcheck disable=SC2034
XI_WAN_MTU=1700
# all residues of all block sizes, from nothing up and from the MTU down
declare -A MATRIX_SIZES=([4]="0-34,127-129,1000,1455-1472" [6]="0-34,127-129,1000,1435-1452")
MATRIX_ECHOES=57
# Linux 6.1 drops what has less than 40 bytes in UDP over IPv6: it counts an IPv6 header that is no longer there
# (net/ipv6/xfrm6_input.c, xfrm6_udp_encap_rcv)
MATRIX_SIZES_UDP6="8-42,127-129,1000,1435-1452"

matrix_carries() {
	[[ " $XI_MATRIX " == *" $1 "* ]]
}

# rows -------------------------------------------------------------------------------------------------------------------

# set, name and words of each integrity algorithm; the second of SHA-256 is what Linux takes unless told otherwise
auth_rows() {
	cat <<- END
		hmac|hmac-sha1-96|auth hmac(sha1) @160
		hmac|hmac-sha256-128|auth-trunc hmac(sha256) @256 128
		hmac|hmac-sha256-96|auth hmac(sha256) @256
		hmac|hmac-sha384-192|auth-trunc hmac(sha384) @384 192
		hmac|hmac-sha512-256|auth-trunc hmac(sha512) @512 256
		cmac|aes-cmac-96|auth-trunc cmac(aes) @128 96
	END
}

# esp_with_auth SET NAME WORDS: a cipher with each integrity algorithm
esp_with_auth() {
	local set name words
	while IFS='|' read -r set name words; do
		[ "$set" = hmac ] && set=$1
		echo "$set|ESP $2 $name|esp $3 $words"
	done < <(auth_rows)
}

esp_rows() {
	local bits icv
	for bits in 128 192 256; do
		for icv in 128 96 64; do
			# key and salt: RFC 4106 section 8.1, RFC 4309 section 7.1
			echo "$([ $icv = 128 ] && echo gcm || echo gcm-short)|ESP aes-gcm-$bits/$icv|esp aead rfc4106(gcm(aes)) @$((bits + 32)) $icv"
			echo "ccm|ESP aes-ccm-$bits/$icv|esp aead rfc4309(ccm(aes)) @$((bits + 24)) $icv"
		done
		echo "gmac|ESP aes-gmac-$bits|esp aead rfc4543(gcm(aes)) @$((bits + 32)) 128"
		esp_with_auth cbc aes-cbc-$bits "enc cbc(aes) @$bits"
		esp_with_auth ctr aes-ctr-$bits "enc rfc3686(ctr(aes)) @$((bits + 32))"
	done
	echo "chacha|ESP chacha20-poly1305|esp aead rfc7539esp(chacha20,poly1305) @288 128"
	esp_with_auth null null 'enc ecb(cipher_null) ""'
}

ah_rows() {
	local set name words
	while IFS='|' read -r set name words; do
		[ "$set" = hmac ] && set=ah
		echo "$set|AH $name|ah $words"
	done < <(auth_rows)
}

# bundle_rows OUTER INNER. Linux 6.1 sends IPv4 in IPv6 in fragments of 1280 bytes at most, and what fits as an atomic fragment
# (RFC 6946); of AH in one of these, its own receiver takes the fragment header into the ICV.
bundle_rows() {
	local gcm="esp aead rfc4106(gcm(aes)) @160 128" ah="ah auth-trunc hmac(sha256) @256 128" set="ah"
	local cbc="esp enc cbc(aes) @128 auth-trunc hmac(sha256) @256 128"
	[ "$1$2" != 64 ] || set="ah-atomic"
	cat <<- END
		bundle|ESP aes-gcm-128 in ESP aes-gcm-128|$gcm|$gcm
		bundle|ESP aes-gcm-128 in ESP aes-cbc-128 hmac-sha256-128|$gcm|$cbc
		bundle|ESP aes-cbc-128 hmac-sha256-128 in ESP aes-gcm-128|$cbc|$gcm
		bundle|ESP aes-cbc-128 hmac-sha256-128 in the same|$cbc|$cbc
		ah|AH hmac-sha256-128 in ESP aes-gcm-128|$ah|$gcm
		ah|AH hmac-sha256-128 in ESP aes-cbc-128 hmac-sha256-128|$ah|$cbc
		$set|ESP aes-gcm-128 in AH hmac-sha256-128|$gcm|$ah
		$set|ESP aes-cbc-128 hmac-sha256-128 in AH hmac-sha256-128|$cbc|$ah
		$set|AH hmac-sha256-128 in AH hmac-sha256-128|$ah|$ah
	END
}

# topology ---------------------------------------------------------------------------------------------------------------

matrix_up() {
	net_up wan gw1 h1 || tap_skip_all "cannot make network namespaces"
	uml_up
	tap_check "a kernel with ESP and AH" matrix_kernel || tap_done
	net_addr gw1 lo 10.8.1.1/32 fd08:1::1/128
	tap_check "xipsecd starts" start_daemon gw1 || tap_done
	tap_check "routes of gw1's own traffic" matrix_own_traffic || tap_done
}

# Addresses of all rows, and a socket for each family that takes ESP in UDP (RFC 3948) as an IKE daemon's does: policies are
# not for the packets that arrive there.
matrix_kernel() {
	uml_run <<- END
		for ((n = 1; n <= $MATRIX_ROWS_MAX; n++)); do
			printf 'addr add %s dev lo\n' 10.1.2.\$n/32 10.8.2.\$n/32 fd00:2::\$n/128 fd08:2::\$n/128
		done | ip -batch - || exit 1
		modprobe -d /run/kernel -a esp4 esp6 ah4 ah6 xfrm_user authenc authencesn seqiv echainiv || exit 1
		rm -f /tmp/encap
		/usr/bin/python3 -IS -c '
		import signal, socket, struct
		def taker(family, any, level, xfrm_policy):
		    s = socket.socket(family, socket.SOCK_DGRAM)
		    if family == socket.AF_INET6:
		        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
		    for direction in 0, 1:
		        # struct xfrm_userpolicy_info: family of the selector, direction; action 0 is to allow
		        s.setsockopt(level, xfrm_policy, struct.pack("=40xH118xB7x", family, direction))
		    s.setsockopt(socket.IPPROTO_UDP, 100, 2)   # UDP_ENCAP, UDP_ENCAP_ESPINUDP
		    s.bind((any, 4500))
		    return s
		sockets = [taker(socket.AF_INET, "0.0.0.0", socket.IPPROTO_IP, 17),
		           taker(socket.AF_INET6, "::", socket.IPPROTO_IPV6, 35)]
		open("/tmp/encap", "w").close()
		signal.pause()' > /tmp/encap.log 2>&1 &
		for ((i = 0; i < 1000; i++)); do
			[ -e /tmp/encap ] && exit 0
			read -r -t 0.02 <> /run/nothing
		done
		cat /tmp/encap.log
		exit 1
	END
}

# The host's own pings go into xipsec0; what comes out of it as ESP or AH goes by the main table.
matrix_own_traffic() {
	net_in gw1 ip -batch - <<- END &&
		route add 10.8.2.0/24 via 192.0.2.2
		route add fd08:2::/64 via 2001:db8::2
		route add 10.8.2.0/24 dev xipsec0 src 10.8.1.1 table 8
		route add fd08:2::/64 dev xipsec0 src fd08:1::1 table 8
		rule add pref 100 ipproto icmp lookup 8
	END
		net_in gw1 ip -6 rule add pref 100 ipproto ipv6-icmp lookup 8
}

# a group ----------------------------------------------------------------------------------------------------------------

# The group at hand, and its rows by number; all that follows reads them.
declare -A mx=()
mx_names=() mx_words=() mx_verdict=()
mx_groups=0

group_set() {
	mx=([mode]=$1 [outer]=$2 [inner]=$3 [esn]=$4 [encap]=$5 [near]=10.1.1.2 [far]=10.1.2. [who]=h1
		[gw]=192.0.2.1 [kernel]=192.0.2.2 [any]=0.0.0.0 [bits]=32 [flags]='' [base]=$((++mx_groups << 12)))
	if [ "$1" != tunnel ]; then
		mx[near]=10.8.1.1 mx[far]=10.8.2. mx[who]=gw1
	fi
	if [ "$3" = 6 ]; then
		mx[near]=fd00:1::2 mx[far]=fd00:2:: mx[any]=:: mx[bits]=128
		[ "$1" = tunnel ] || mx[near]=fd08:1::1 mx[far]=fd08:2::
	fi
	[ "$2" = 4 ] || mx[gw]=2001:db8::1 mx[kernel]=2001:db8::2
	mx[name]="$1, IPv$3"
	[ "$1" = transport ] || mx[name]+=" in IPv$2"
	[ "$4" != esn ] || mx[name]+=", ESN"
	[ "$5" != udp ] || mx[name]+=", in UDP"
}

group_read() {
	local set name words n=0
	mx_names=() mx_words=() mx_verdict=()
	while IFS='|' read -r set name words; do
		matrix_carries "$set" || continue
		((++n))
		mx_names[n]=$name
		mx_words[n]=$words
	done
	((n > 0 && n <= MATRIX_ROWS_MAX))
}

# row_spi ROW LAYER DIRECTION: layer 0 is the SA that is applied first; direction 0 is out of gw1
row_spi() {
	printf -v spi '0x%x' $((mx[base] + ($1 << 3) + ($2 << 1) + $3))
}

# row_layers ROW: its SAs in arrays proto, algs, mode
row_layers() {
	local l
	IFS='|' read -r -a algs <<< "${mx_words[$1]}"
	proto=() mode=()
	for l in "${!algs[@]}"; do
		proto[l]=${algs[l]%% *}
		algs[l]=${algs[l]#* }
		mode[l]=${mx[mode]}
		[ "${mx[mode]}" != bundle ] || mode[l]=transport
	done
	[ "${mx[mode]}" != bundle ] || mode[l]=tunnel
}

# fresh WORDS: in words, with a key of keys in the place of each @BITS
fresh() {
	local bits
	words=$1
	while [[ $words == *@* ]]; do
		bits=${words#*@}
		bits=${bits%% *}
		words=${words/@$bits/0x${keys[used++]:0:bits / 4}}
	done
}

# sa_options MODE: of both its SAs
sa_options() {
	local flags=
	options="replay-window 32"
	if [ "${mx[esn]}" = esn ]; then
		options="replay-window 128"
		flags=" esn"
	fi
	# an SA without a selector carries the family of its outer header alone unless told otherwise
	[ "$1" != tunnel ] || [ "${mx[inner]}" = "${mx[outer]}" ] || flags+=" af-unspec"
	options+=${flags:+ flag$flags}
	if [ "${mx[encap]}" = udp ]; then
		options+=" encap espinudp 4500 4500 0.0.0.0"
		[ "${mx[outer]}" = 4 ] || options=${options/%0.0.0.0/::}
	fi
}

# group_sas: a line an SA, the row's number before it; the same for both ends
group_sas() {
	local row l dir ends spi options words algs proto mode keys used=0
	# of 512 bits, at most two for an SA and four SAs for a row
	mapfile -t keys < <(od -A n -v -t x1 -w64 -N $((${#mx_names[@]} * 8 * 64)) /dev/urandom | tr -d ' ')
	for row in "${!mx_names[@]}"; do
		row_layers "$row"
		for l in "${!algs[@]}"; do
			sa_options "${mode[l]}"
			ends=("${mx[near]}" "${mx[far]}$row")
			[ "${mode[l]}" = transport ] || ends=("${mx[gw]}" "${mx[kernel]}")
			for dir in 0 1; do
				row_spi "$row" "$l" $dir
				fresh "${algs[l]}"
				echo "$row xfrm state add src ${ends[dir]} dst ${ends[1 - dir]} proto ${proto[l]}" \
					"spi $spi reqid $((spi)) mode ${mode[l]} $options $words"
			done
		done
	done
}

# row_templates ROW DIRECTION: in templates; those of transport mode name no addresses, as IKE daemons write them
row_templates() {
	local l spi ends
	templates=
	for l in "${!algs[@]}"; do
		row_spi "$1" "$l" "$2"
		ends=("${mx[any]}" "${mx[any]}")
		[ "${mode[l]}" = transport ] || ends=("${mx[gw]}" "${mx[kernel]}")
		templates+=" tmpl src ${ends[$2]} dst ${ends[1 - $2]} proto ${proto[l]} reqid $((spi)) mode ${mode[l]}"
	done
}

# group_policies gw1|kernel: a line a policy, the row's number before it
group_policies() {
	local row dir name ends spi templates algs proto mode
	local -a names=("out" "in fwd")
	[ "$1" = gw1 ] || names=("in" "out")
	for row in "${!mx_names[@]}"; do
		row_layers "$row"
		ends=("${mx[near]}" "${mx[far]}$row")
		for dir in 0 1; do
			row_templates "$row" $dir
			for name in ${names[dir]}; do
				[ "$name" != fwd ] || [ "${mx[mode]}" = tunnel ] || continue
				echo "$row xfrm policy add src ${ends[dir]}/${mx[bits]} dst ${ends[1 - dir]}/${mx[bits]}" \
					"dir $name$templates"
			done
		done
	done
}

# refusals WHO OUTPUT of tests/lib/xfrm_rows.sh
refusals() {
	local row said
	while read -r row said; do
		case $row in
		"") ;;
		*[!0-9]*) tap_comment "$1: $row $said" ;;
		*) : "${mx_verdict[row]:=$1: $said}" ;;
		esac
	done <<< "$2"
}

# group_load: SAs and policies at both ends. What the kernel refuses it has not got; what xipsec refuses has failed.
group_load() {
	local end said
	group_sas > "$XI_TMP/sas"
	for end in kernel gw1; do
		{
			cat "$XI_TMP/sas"
			group_policies $end
		} > "$UML_DIR/$end.rows"
	done
	if ! said=$(uml_run <<< "tests/lib/xfrm_rows.sh /run/share/kernel.rows"); then
		tap_not_ok "${mx[name]}: SAs and policies of the kernel" "$said"
		return 1
	fi
	refusals "skip the kernel refuses" "$said"
	if ! said=$(gwip gw1 tests/lib/xfrm_rows.sh "$UML_DIR/gw1.rows"); then
		tap_not_ok "${mx[name]}: SAs and policies of xipsec" "$said"
		return 1
	fi
	refusals "xipsec refuses" "$said"
}

# group_pings near|far: a line a row that is still good, for tests/lib/echoes.py
group_pings() {
	local row
	for row in "${!mx_names[@]}"; do
		[ -z "${mx_verdict[row]:-}" ] || continue
		if [ "$1" = near ]; then
			echo "$row ${mx[near]} ${mx[far]}$row"
		else
			echo "$row ${mx[far]}$row ${mx[near]}"
		fi
	done
}

# judge_pings WHO OUTPUT: lines of tests/lib/echoes.py
judge_pings() {
	local row said
	while read -r row said; do
		if [[ $row == *[!0-9]* ]]; then
			tap_comment "$row $said"
		elif [ "$said" != ok ]; then
			: "${mx_verdict[row]:=$1: $said}"
		fi
	done <<< "$2"
}

# packets_of OUTPUT: in packets, by SPI, what each SA of ip -s xfrm state has counted
packets_of() {
	local spi count
	packets=()
	while read -r spi count; do
		packets[$spi]=$count
	done < <(awk '
		/proto [a-z]+ spi/ { for (i = 1; i < NF; i++) if ($i == "spi") spi = $(i + 1); sub(/\(.*/, "", spi) }
		/^[ \t]*[0-9]+\(bytes\), [0-9]+\(packets\)/ { print spi, $2 + 0 }' <<< "$1")
}

# judge_packets WHO OUTPUT: in complaints, good rows whose SAs have not carried the requests of one side and the answers to
# the other, each once; 1 when there are any
judge_packets() {
	local row l dir spi full algs proto mode want=$((2 * MATRIX_ECHOES))
	local -A packets
	complaints=()
	packets_of "$2"
	for row in "${!mx_names[@]}"; do
		[ -z "${mx_verdict[row]:-}" ] || continue
		row_layers "$row"
		for l in "${!algs[@]}"; do
			for dir in 0 1; do
				row_spi "$row" "$l" $dir
				printf -v full '0x%08x' $((spi))
				[ "${packets[$full]:-none}" = $want ] ||
					complaints[row]="$1 counts ${packets[$full]:-none} packets on SPI $spi, not $want"
			done
		done
	done
	[ ${#complaints[@]} = 0 ]
}

# Complete a moment after the last packet is out.
gw_counted() {
	judge_packets xipsec "$(gwip gw1 ip -s xfrm state)"
}

group_complain() {
	local row
	for row in "${!complaints[@]}"; do
		mx_verdict[row]=${complaints[row]}
	done
}

# group_exchange: in errors, what the kernel counted as such since it was booted
group_exchange() {
	local said sizes=${MATRIX_SIZES[${mx[inner]}]}
	local -a complaints
	[ "${mx[mode]} ${mx[outer]} ${mx[encap]}" != "transport 6 udp" ] || sizes=$MATRIX_SIZES_UDP6
	judge_pings "${mx[who]} asks" "$(group_pings near | net_in "${mx[who]}" tests/lib/echoes.py "$sizes" 2>&1)"
	said=$(uml_run <<- END
		tests/lib/echoes.py $sizes <<- PINGS
		$(group_pings far)
		PINGS
		echo ----
		ip -s xfrm state
		echo ----
		grep -v '[[:space:]]0$' /proc/net/xfrm_stat
		:
	END
	)
	[ $? != 125 ] || { tap_not_ok "${mx[name]}: the kernel" "$said"; return 1; }
	judge_pings "the kernel asks" "${said%%----*}"
	errors=${said##*----}
	said=${said#*----}
	judge_packets "the kernel" "${said%%----*}" || group_complain
	wait_for 5 gw_counted || group_complain
}

group_report() {
	local row name
	for row in "${!mx_names[@]}"; do
		name="${mx_names[row]}, ${mx[name]}"
		case ${mx_verdict[row]:-} in
		"") tap_ok "$name" ;;
		skip*) tap_skip "$name" "${mx_verdict[row]#skip }" ;;
		*) tap_not_ok "$name" "${mx_verdict[row]}" ;;
		esac
	done
}

# gw_dropped_none BEFORE: the sum of all drops is what it was; else says what happened, by reason
gw_dropped_none() {
	local now
	now=$(gw_drops)
	[ "$now" != "$1" ] || return 0
	echo "$((now - $1)) packets; since its start:"
	gwctl gw1 xipsec stats
	return 1
}

matrix_group() {
	local errors errors_before=${matrix_errors:-} drops_before
	matrix_carries "$1" && { [ "$5" != udp ] || matrix_carries encap; } || return 0
	group_set "$@"
	group_read || return 0
	drops_before=$(gw_drops)
	group_load && group_exchange || return
	group_report
	matrix_errors=$errors
	tap_is "${mx[name]}: no error in the kernel" "$errors" "$errors_before"
	tap_check "${mx[name]}: no drop in xipsec" gw_dropped_none "$drops_before"
}

matrix_sweep() {
	local esn outer inner
	for esn in no-esn esn; do
		for outer in 4 6; do
			for inner in 4 6; do
				[ "$1" != transport ] || [ $outer = $inner ] || continue
				matrix_group "$1" $outer $inner $esn "$2" < <("$3" $outer $inner)
			done
		done
	done
}

matrix_down() {
	tap_check "the daemon stops cleanly" stop_daemon gw1
	tap_done
}
