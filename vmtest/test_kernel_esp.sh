#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 300
#
# xipsec against the kernel's own ESP, in one machine:
#
#   h1 10.1.1.2 --- gw1 (xipsecd) 192.0.2.1 === wan === 192.0.2.2 peer (kernel ESP) 10.1.2.1
#
# Every packet that one side counts on an SA must be counted by the other.
cd "$(dirname "$0")/.." || exit 1
[ -n "${VMTEST:-}" ] || exec vmtest/vmrun "vmtest/${0##*/}"
. tests/lib/tap.sh
. tests/lib/netns.sh

spi_in=0x1001 spi_out=0x2002      # as gw1 sees them

# sa_lines BITS ESN LOCAL REMOTE [AUTH-WORDS]: ip -batch lines of both SAs, the same for both sides, with
# fresh keys. AES-GCM, or AES-CBC with `auth hmac(sha1) 160`, `auth-trunc hmac(sha256) 256 128` and so on
sa_lines() {
	local window="replay-window 32"
	[ "$2" = esn ] && window="replay-window 128 flag esn"
	printf 'xfrm state add src %s dst %s proto esp spi %s reqid 1 mode tunnel %s %s\n' \
		"$4" "$3" $spi_in "$window" "$(algorithm "$1" "${5:-}")" \
		"$3" "$4" $spi_out "$window" "$(algorithm "$1" "${5:-}")"
}

algorithm() {
	local word name bits icv
	if [ -z "$2" ]; then
		# key and salt (RFC 4106 section 8.1)
		echo "aead rfc4106(gcm(aes)) $(fresh_key $(($1 + 32))) 128"
	else
		read -r word name bits icv <<< "$2"
		echo "enc cbc(aes) $(fresh_key "$1") $word $name $(fresh_key "$bits") $icv"
	fi
}

# fresh_key BITS
fresh_key() {
	printf 0x
	od -A n -v -t x1 -N $(($1 / 8)) /dev/urandom | tr -d ' \n'
}

# policy_lines LOCAL REMOTE LOCAL-NET REMOTE-NET, as the side LOCAL needs them
policy_lines() {
	cat <<- END
		xfrm policy add dir out src $3 dst $4 tmpl src $1 dst $2 proto esp reqid 1 mode tunnel
		xfrm policy add dir in src $4 dst $3 tmpl src $2 dst $1 proto esp reqid 1 mode tunnel
		xfrm policy add dir fwd src $4 dst $3 tmpl src $2 dst $1 proto esp reqid 1 mode tunnel
	END
}

peer_ip() {
	net_in peer ip "$@"
}

gw_ip() {
	gwip gw1 ip "$@"
}

install_sas() {
	local lines
	lines=$(echo "xfrm state flush"; sa_lines "$@")
	peer_ip -batch - <<< "$lines" && gw_ip -batch - <<< "$lines"
}

setup() {
	net_up wan gw1 h1 && net_add peer && net_plug peer eth0 192.0.2.2/24 2001:db8::2/64 &&
		net_addr peer lo 10.1.2.1/32 fd00:2::1/128 &&
		net_in peer ip route add 10.1.1.0/24 via 192.0.2.1 src 10.1.2.1 &&
		net_in peer ip -6 route add fd00:1::/64 via 2001:db8::1 src fd00:2::1
}

install_policies() {
	{
		policy_lines 192.0.2.1 192.0.2.2 10.1.1.0/24 10.1.2.0/24
		policy_lines 2001:db8::1 2001:db8::2 fd00:1::/64 fd00:2::/64
	} | gw_ip -batch - && {
		policy_lines 192.0.2.2 192.0.2.1 10.1.2.0/24 10.1.1.0/24
		policy_lines 2001:db8::2 2001:db8::1 fd00:2::/64 fd00:1::/64
	} | peer_ip -batch -
}

# counts: packets of both SAs, as our side and as the kernel's side counted them
counts() {
	local ours kernels
	ours=$(gw_ip -s xfrm state list)
	kernels=$(peer_ip -s xfrm state list)
	echo "ours $(sa_packets $spi_in <<< "$ours") $(sa_packets $spi_out <<< "$ours")" \
		"kernel's $(sa_packets $spi_in <<< "$kernels") $(sa_packets $spi_out <<< "$kernels")"
}

# exchange NAME HOST-ADDRESS PEER-ADDRESS: 5 echo requests from each side, so 10 packets each way
exchange() {
	tap_check "$1: the host pings the kernel's side" \
		net_in h1 ping -q -c 5 -i 0.01 -W 3 -s 1300 "$3"
	tap_check "$1: the kernel's side pings the host" \
		net_in peer ping -q -c 5 -i 0.01 -W 3 -I "$3" "$2"
	tap_is "$1: each SA counts its ten packets on both sides" "$(counts)" \
		"ours 10 10 kernel's 10 10"
}

# algorithms SIDE: what each SA has, as its side prints it
algorithms() {
	local spi
	for spi in $spi_in $spi_out; do
		"$1"_ip xfrm state list spi $spi | grep -oE "spi 0x[0-9a-f]+|(auth|auth-trunc|enc|aead) .*"
	done
}

modprobe -a esp4 esp6 xfrm_user gcm cbc authenc echainiv hmac sha1_generic sha256_generic sha512_generic
setup || { tap_not_ok "topology"; tap_done; }
conf=$(gw_conf gw1 "[cache]" "sa-entries = 64")
tap_check "the daemon starts on $(uname -r)" start_daemon gw1 "$conf" || tap_done
tap_check "policies on both sides" install_policies
capture_start wan w1

for variant in "128 no-esn" "128 esn" "256 esn"; do
	read -r bits esn <<< "$variant"
	name="AES-GCM-$bits, $esn"
	tap_check "$name: SAs on both sides" install_sas "$bits" "$esn" 192.0.2.1 192.0.2.2
	exchange "$name" 10.1.1.2 10.1.2.1
done
while read -r traffic bits esn auth; do
	name="AES-CBC-$bits, $auth, $esn"
	tap_check "$name: SAs on both sides" install_sas "$bits" "$esn" 192.0.2.1 192.0.2.2 "$auth"
	[ "$traffic" = silent ] || exchange "$name" 10.1.1.2 10.1.2.1
	tap_is "$name: ip prints the same of both sides" "$(algorithms gw)" "$(algorithms peer)"
done <<- END
	ping 128 no-esn auth-trunc hmac(sha256) 256 128
	ping 256 esn auth-trunc hmac(sha512) 512 256
	ping 192 no-esn auth hmac(sha256) 256
	silent 128 esn auth hmac(sha1) 160
	silent 256 no-esn auth hmac(sha384) 384
END
tap_check "IPv6: SAs on both sides" install_sas 128 esn 2001:db8::1 2001:db8::2
exchange "IPv6" fd00:1::2 fd00:2::1

tap_check "the capture is complete" capture_stop wan w1
tap_check "the wire carried only ESP" only_esp "$XI_TMP/wan-w1.pcap"
tap_check "the kernel's side met no error" eval '! grep -E "Error|Mismatch|Invalid" \
	<(net_in peer cat /proc/net/xfrm_stat) | grep -v "[[:space:]]0$"'
tap_check "the SA cache has room for what the configuration asks on this kernel" eval \
	'[ "$(bpftool -j map show pinned "$XI_BPFFS/gw1/sa_cache" | jq .max_entries)" -ge 256 ]'
tap_check "the daemon stops cleanly" stop_daemon gw1
tap_done
