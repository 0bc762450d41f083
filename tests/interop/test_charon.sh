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
		  children { net { local_ts = $6
		                   remote_ts = $7
		                   esp_proposals = aes128gcm16-esn
		                   rekey_time = 1000s
		                   start_action = none } } } }
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
exec {l_in}> "$work/$L.in" {l_out}< "$work/$L.out" {r_out}< "$work/$R.out"
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
