#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Two strongSwan daemons, unchanged, each with the XFRM server of its own namespace as its kernel:
#
#   [charon L]--preload--[server L]           [server R]--preload--[charon R]
#        192.0.2.1 ----------------- veth ----------------- 192.0.2.2
#        10.1.1.0/24                                        10.1.2.0/24
#
# timeout: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
CHARON=/usr/sbin/charon-systemd
PROPOSALS="aes192ccm12 chacha20poly1305 aes128gmac null-sha384 aes256ctr-sha512 aes128-aescmac aes256-sha1"

if [ ! -x $CHARON ] || ! command -v swanctl >/dev/null; then
	echo "1..0 # SKIP strongSwan (charon-systemd, strongswan-swanctl) is not installed"
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! unshare -n true 2>/dev/null; then
	echo "1..0 # SKIP needs root and network namespaces"
	exit 0
fi
make -s B="$B" "$B/tests/interop/xfrm_serverd" "$B/libxipsec-xfrm.so" >&2 || exit 1

unset XIPSEC_XFRM_SOCK
work=$(mktemp -d)
pids=()
cleanup() {
	((${#pids[@]})) && kill "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null
	ip netns del "$L" 2>/dev/null
	ip netns del "$R" 2>/dev/null
	rm -rf "$work"
}
L=xi-charon-l-$$ R=xi-charon-r-$$
trap cleanup EXIT

count=0
ok() {
	local what=$1
	shift
	((++count))
	if "$@"; then echo "ok $count - $what"; else echo "not ok $count - $what"; fi
}
is() {
	[ "$1" = "$2" ] && return 0
	echo "# $1 instead of $2"
	return 1
}
has() {
	[[ $1 == *"$2"* ]] && return 0
	printf '# no "%s" in:\n' "$2"
	echo "$1" | tail -20 | sed 's/^/#  /'
	return 1
}
in_ns() { nsenter --net="/run/netns/$1" "${@:2}"; }
xfrm() { in_ns "$1" env LD_PRELOAD="$B/libxipsec-xfrm.so" ip xfrm "${@:2}" 2>&1; }
swan() { in_ns "$1" swanctl "${@:2}" --uri "unix://$work/$1.vici" 2>&1; }
# until COMMAND...: for 15 s
until_true() {
	local end=$((SECONDS + 15))
	until "$@"; do
		((SECONDS < end)) || return 1
		read -r -t 0.1 <> <(:)
	done
	return 0
}
spis() { xfrm "$1" state list | grep -c 'proto esp'; }
is_count() { [ "$(spis "$1")" = "$2" ]; }

# server NS: its stdin and stdout are ${NS}.in and ${NS}.out
server() {
	rm -f "$work/$1.in" "$work/$1.out"
	mkfifo "$work/$1.in" "$work/$1.out"
	nsenter --net="/run/netns/$1" "$B/tests/interop/xfrm_serverd" <> "$work/$1.in" > "$work/$1.out" 2>&1 &
	server_pid=$!
	pids+=($!)
}
# children LOCAL REMOTE: one a proposal. The other side tells them apart by their traffic selectors alone.
children() {
	local n=0 p
	for p in $PROPOSALS; do
		echo "$p { local_ts = $1.$((++n))/32
			remote_ts = $2.$n/32
			esp_proposals = $p }"
	done
}
charon() {
	cat > "$work/$1.conf" <<- END
		charon-systemd {
			install_routes = no
			journal { default = -1 }
			filelog { log { path = $work/$1.log
			                default = 1
			                knl = 2
			                flush_line = yes } }
			plugins { vici { socket = unix://$work/$1.vici } }
			load = random nonce aes sha1 sha2 hmac gmp kdf drbg kernel-netlink socket-default vici
		}
	END
	nsenter --net="/run/netns/$1" env STRONGSWAN_CONF="$work/$1.conf" \
		LD_PRELOAD="$B/libxipsec-xfrm.so" $CHARON \
		> "$work/$1.stdout" 2>&1 &
	pids+=($!)
	eval "charon_$3=$!"
	cat > "$work/$1.swan" <<- END
		connections { test { version = 2
		  local_addrs = $2
		  remote_addrs = $4
		  proposals = aes128-sha256-modp2048
		  local { auth = psk
		          id = $3 }
		  remote { auth = psk
		           id = $5 }
		  children {
		    net { local_ts = $6
		          remote_ts = $7
		          esp_proposals = aes128gcm16-esn
		          rekey_time = 1000s
		          start_action = none }
		    host { mode = transport
		           esp_proposals = aes256gcm8 }
		    ah { local_ts = dynamic[udp/9]
		         remote_ts = dynamic[udp/9]
		         ah_proposals = sha256
		         mode = transport }
		    $(children "${6%.0/*}" "${7%.0/*}") } }
		  nat { version = 2
		  local_addrs = $2
		  remote_addrs = $4
		  encap = yes
		  proposals = aes128-sha256-modp2048
		  local { auth = psk
		          id = nat-$3 }
		  remote { auth = psk
		           id = nat-$5 }
		  children { udp { local_ts = $6
		                   remote_ts = $7
		                   esp_proposals = aes128gcm16
		                   tfc_padding = 1200 }
		             udphost { mode = transport
		                       esp_proposals = aes128-sha256 } } } }
		secrets { ike-1 { secret = "not a secret at all" } }
	END
}

for ns in "$L" "$R"; do
	ip netns add "$ns"
	in_ns "$ns" ip link set lo up
done
ip link add xil type veth peer name xir netns "$R" 2>/dev/null ||
	in_ns "$L" ip link add xil type veth peer name xir netns "$R"
ip link set xil netns "$L" 2>/dev/null
in_ns "$L" ip addr add 192.0.2.1/24 dev xil
in_ns "$R" ip addr add 192.0.2.2/24 dev xir
in_ns "$L" ip link set xil up
in_ns "$R" ip link set xir up

server "$R"
server "$L"
exec {l_in}> "$work/$L.in" {l_out}< "$work/$L.out" {r_in}> "$work/$R.in" {r_out}< "$work/$R.out"
read -r -t 10 -u "$l_out" line
read -r -t 10 -u "$r_out" line
# tell COMMAND: to the left server
tell() {
	echo "$*" >&"$l_in"
	read -r -t 10 -u "$l_out" answer
	echo "$answer"
}

charon "$L" 192.0.2.1 left 192.0.2.2 right 10.1.1.0/24 10.1.2.0/24
charon "$R" 192.0.2.2 right 192.0.2.1 left 10.1.2.0/24 10.1.1.0/24
until_true test -S "$work/$L.vici" && until_true test -S "$work/$R.vici"
swan "$L" --load-all --file "$work/$L.swan" > "$work/load" 2>&1
swan "$R" --load-all --file "$work/$R.swan" >> "$work/load" 2>&1

ok "establish" has "$(swan "$L" --initiate --child net)" "initiate completed successfully"
ok "two SAs on each side" has "$(spis "$L") $(spis "$R")" "2 2"
text=$(xfrm "$L" state list)
ok "with ESN and AES-GCM" has "$text" "flag af-unspec esn
	aead rfc4106(gcm(aes)) 0x"
ok "policies in, fwd and out" has "$(xfrm "$L" policy count | tr -s ' \t' ' ')" "SPD IN 1 OUT 1 FWD 1"
ok "both sides have the same keys" has "$(xfrm "$R" state list | grep -o '0x[0-9a-f]\{40\}' | sort)" \
	"$(grep -o '0x[0-9a-f]\{40\}' <<< "$text" | sort)"

inbound=$(grep -A1 'dst 192.0.2.1' <<< "$text" | grep -o 'spi 0x[0-9a-f]*' | cut -d' ' -f2)
tell receive "${inbound#0x}" 1 >/dev/null
ok "traffic is reported" has "$(swan "$L" --list-sas)" "100 bytes,     1 packets"

# rekey_time and its randomization: between 900 and 1000 s; life_time 1100 s
tell tick 1001 >/dev/null
rekeyed() { xfrm "$L" state list | grep -A1 'dst 192.0.2.1' | grep 'spi' | grep -qv "$inbound"; }
ok "soft EXPIRE makes charon rekey" until_true rekeyed

ok "terminate" has "$(swan "$L" --terminate --ike test)" "terminate completed successfully"
ok "no SA is left" until_true is_count "$L" 0
ok "nor on the other side" until_true is_count "$R" 0

echo "# other modes and algorithms"
swan "$L" --initiate --child host > "$work/host"
text=$(xfrm "$R" state list)
ok "transport mode" has "$text" "mode transport"
ok "with a short ICV" has "$text" "	aead rfc4106(gcm(aes)) 0x"
ok "of 64 bits" has "$(grep aead <<< "$text")" " 64"
ok "and policies of two hosts" has "$(xfrm "$R" policy list)" "src 192.0.2.2/32 dst 192.0.2.1/32"
swan "$L" --terminate --ike test >/dev/null
until_true is_count "$R" 0
swan "$L" --initiate --child ah > "$work/ah"
text=$(xfrm "$R" state list)
ok "AH" has "$text" "proto ah spi"
ok "with HMAC-SHA-256" has "$text" "	auth-trunc hmac(sha256) 0x"
swan "$L" --terminate --ike test >/dev/null
# algorithm PROPOSAL NAME...: both sides install it
algorithm() {
	local name text
	swan "$L" --initiate --child "$1" >/dev/null
	for ns in "$L" "$R"; do
		text=$(xfrm "$ns" state list)
		for name in "${@:2}"; do
			[[ $(grep -c "	$name" <<< "$text") = 2 ]] || { sed 's/^/# /' <<< "$text"; return 1; }
		done
	done
	swan "$L" --terminate --ike test >/dev/null
	until_true is_count "$L" 0 && until_true is_count "$R" 0
}
ok "AES-CCM" algorithm aes192ccm12 'aead rfc4309(ccm(aes)) 0x[0-9a-f]\{54\} 96$'
ok "ChaCha20-Poly1305" algorithm chacha20poly1305 'aead rfc7539esp(chacha20,poly1305) 0x[0-9a-f]\{72\} 128$'
ok "AES-GMAC" algorithm aes128gmac 'aead rfc4543(gcm(aes)) 0x[0-9a-f]\{40\} 128$'
ok "NULL" algorithm null-sha384 'enc ecb(cipher_null) $' 'auth-trunc hmac(sha384) 0x[0-9a-f]\{96\} 192$'
ok "AES-CTR" algorithm aes256ctr-sha512 'enc rfc3686(ctr(aes)) 0x[0-9a-f]\{72\}$' \
	'auth-trunc hmac(sha512) 0x[0-9a-f]\{128\} 256$'
ok "AES-CMAC" algorithm aes128-aescmac 'enc cbc(aes) 0x[0-9a-f]\{32\}$' 'auth-trunc cmac(aes) 0x[0-9a-f]\{32\} 96$'
ok "HMAC-SHA-1" algorithm aes256-sha1 'enc cbc(aes) 0x[0-9a-f]\{64\}$' 'auth-trunc hmac(sha1) 0x[0-9a-f]\{40\} 96$'

echo "# through a NAT"
swan "$L" --initiate --child udp > "$work/udp"
text=$(xfrm "$L" state list)
ok "ESP in UDP" is "$(grep -c '	encap type espinudp sport 4500 dport 4500 addr 0.0.0.0$' <<< "$text")" 2
ok "with TFC padding" has "$text" "tfcpad 1200"
inbound=$(xfrm "$R" state list | grep -A1 'dst 192.0.2.2' | grep -o 'spi 0x[0-9a-f]*' | cut -d' ' -f2)
# right COMMAND: to the right server
right() {
	echo "$*" >&"$r_in"
	read -r -t 10 -u "$r_out" answer
	echo "$answer"
}
moved() { [ "$(xfrm "$R" state list | grep -c " $1")" = 1 ]; }
right mapping "${inbound#0x}" 192.0.2.1 4700 >/dev/null
ok "MAPPING makes charon send to where the NAT has moved the peer" until_true moved "sport 4500 dport 4700"
ok "and expect it from there" until_true moved "sport 4700 dport 4500"
right mapping "${inbound#0x}" 192.0.2.1 4500 >/dev/null
back() { ! xfrm "$R" state list | grep -q 4700; }
ok "and back again" until_true back
swan "$L" --terminate --ike nat >/dev/null
until_true is_count "$R" 0
swan "$L" --initiate --child udphost > "$work/udphost"
text=$(xfrm "$L" state list)
ok "transport mode in UDP" has "$text" "mode transport"
ok "is in UDP" is "$(grep -c '	encap type espinudp sport 4500 dport 4500' <<< "$text")" 2
swan "$L" --terminate --ike nat >/dev/null
until_true is_count "$L" 0

swan "$L" --install --child net >/dev/null
ok "trap policy" has "$(xfrm "$L" policy list)" "dir out"
tell acquire >/dev/null
ok "ACQUIRE makes charon negotiate" until_true is_count "$L" 2

kill "$server_pid"
wait "$server_pid" 2>/dev/null
ok "without a server a request fails, and does not hang" has \
	"$(timeout 20 swanctl --initiate --child net --timeout 5 --uri "unix://$work/$L.vici" 2>&1)" "failed"
server "$L"
exec {l_in}> "$work/$L.in" {l_out}< "$work/$L.out"
read -r -t 10 -u "$l_out" line
swan "$L" --terminate --ike test --force >/dev/null
initiated() { swan "$L" --initiate --child net --timeout 5 | grep -q 'initiate completed successfully'; }
ok "charon finds the next server" until_true initiated
ok "and puts its SAs there" until_true is_count "$L" 2
listens() { (($(tell groups | cut -d' ' -f2) & 3)); }
ok "and listens to its news" until_true listens
kill "$charon_left"
gone() { ! kill -0 "$charon_left" 2>/dev/null; }
ok "charon ends on SIGTERM" until_true gone
echo "1..$count"
