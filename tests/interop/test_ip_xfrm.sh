#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The system's ip, unchanged, against the XFRM server through the preload library. Needs no root.
# What it prints is compared with what it prints of the kernel's own XFRM, or with text taken from there.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
make -s B="$B" "$B/tests/interop/xfrm_serverd" "$B/libxipsec-xfrm.so" >&2 || exit 1

# shellcheck source=tests/interop/ip_xfrm_cases.sh
. tests/interop/ip_xfrm_cases.sh

work=$(mktemp -d)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	rm -rf "$work"
}
trap cleanup EXIT
export XIPSEC_XFRM_SOCK=t$$ XIPSEC_PRELOAD=$B/libxipsec-xfrm.so

count=0
ok() {
	local what=$1
	shift
	((++count))
	if "$@"; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
	fi
}
skip() { echo "ok $((++count)) - $1 # SKIP $2"; }
is() {
	[ "$1" = "$2" ] && return 0
	diff <(echo "$2") <(echo "$1") | sed 's/^/# /'
	return 1
}
has() {
	[[ $1 == *"$2"* ]] && return 0
	printf '# no "%s" in:\n' "$2"
	echo "$1" | head -20 | sed 's/^/#  /'
	return 1
}
ip() { LD_PRELOAD=$XIPSEC_PRELOAD /bin/ip "$@" 2>&1; }

# server: starts it; tell COMMAND: one command, prints the answer
server() {
	coproc SERVER { exec "$B/tests/interop/xfrm_serverd" "$work" 2>&1; }
	server_pid=$SERVER_PID
	pids+=("$server_pid")
	exec {to_server}>&"${SERVER[1]}" {from_server}<&"${SERVER[0]}"
	read -r -t 10 -u "$from_server" line && [ "$line" = ready ] || exit 1
}
stop_server() {
	exec {to_server}>&- {from_server}<&-
	kill "$server_pid"
	wait "$server_pid" 2>/dev/null
}
tell() {
	echo "$*" >&"$to_server"
	read -r -t 30 -u "$from_server" answer
	echo "$answer"
}
# monitored MASK: waits until the groups of MASK have members
monitored() {
	local i
	for ((i = 0; i < 5000; i++)); do
		(($(tell groups | cut -d' ' -f2) & $1)) && return 0
	done
	return 1
}
monitor() {
	exec {mon}< <(LD_PRELOAD=$XIPSEC_PRELOAD exec /bin/ip xfrm monitor 2>&1)
	mon_pid=$!
	pids+=("$mon_pid")
	monitored 0x4
}
monitor_stop() {
	kill "$mon_pid"
	exec {mon}<&-
}
# sees FD PATTERN: reads lines until one matches
sees() {
	local line seen=
	while read -r -t 10 -u "$1" line; do
		seen=$(tail -n 20 <<< "$seen")$'\n'$line
		[[ $line == *"$2"* ]] && return 0
	done
	printf '# no "%s" in:\n' "$2"
	echo "$seen" | sed 's/^/#  /'
	return 1
}

KEY=0x0000100005060708090a0b0c0d0e0f1011121314
KEY256=0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
A="src 192.0.2.1 dst 192.0.2.2 proto esp"
# each SA has a key of its own
key_of() { printf '0x%08x05060708090a0b0c0d0e0f1011121314' "$1"; }
sa() { ip xfrm state add $A spi "$1" mode tunnel reqid 1 "${@:2}" aead 'rfc4106(gcm(aes))' "$(key_of "$1")" 128; }

echo "# no server"
ok "without a server there is no XFRM at all" has "$(ip xfrm state list)" "Protocol not supported"

server

echo "# SAs"
ok "add" is "$(sa 0x1000)" ""
ok "add again: File exists" is "$(sa 0x1000)" "RTNETLINK answers: File exists"
ok "delete of none: No such process" is "$(ip xfrm state delete $A spi 0x9999)" "RTNETLINK answers: No such process"
ok "get of none: No such process" is "$(ip xfrm state get $A spi 0x9999)" "RTNETLINK answers: No such process"
ok "update of none: No such process" has \
	"$(ip xfrm state update $A spi 0x9999 mode tunnel aead 'rfc4106(gcm(aes))' $KEY 128)" "No such process"
ok "add with esn and 256-bit key" is \
	"$(ip xfrm state add $A spi 0x1001 mode tunnel reqid 7 replay-window 128 flag esn aead 'rfc4106(gcm(aes))' $KEY256 128)" ""
ok "list" is "$(ip xfrm state list)" "src 192.0.2.1 dst 192.0.2.2
	proto esp spi 0x00001000 reqid 1 mode tunnel
	replay-window 0 
	aead rfc4106(gcm(aes)) $KEY 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
src 192.0.2.1 dst 192.0.2.2
	proto esp spi 0x00001001 reqid 7 mode tunnel
	replay-window 0 flag esn
	aead rfc4106(gcm(aes)) $KEY256 128
	anti-replay esn context:
	 seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
	 replay_window 128, bitmap-length 4
	 00000000 00000000 00000000 00000000 
	sel src 0.0.0.0/0 dst 0.0.0.0/0 "
ok "get" has "$(ip xfrm state get $A spi 0x1001)" "replay_window 128, bitmap-length 4"
ok "list of one address" is "$(ip xfrm state list dst 192.0.2.9)" ""
ok "IPv6" is "$(ip xfrm state add src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1002 mode tunnel replay-window 32 \
	flag af-unspec aead 'rfc4106(gcm(aes))' $KEY 128)" ""
ok "IPv6 in the list" has "$(ip xfrm state list src 2001:db8::1)" "src 2001:db8::1 dst 2001:db8::2
	proto esp spi 0x00001002 reqid 0 mode tunnel
	replay-window 32 flag af-unspec"

echo "# counters"
tell send 1001 3 1000 >/dev/null
for seq in 1 2 4 1; do tell receive 1001 $seq >/dev/null; done
for seq in 28 27 25; do tell receive 1002 $seq >/dev/null; done
text=$(ip -s xfrm state get $A spi 0x1001)
ok "bytes and packets" has "$text" "3300(bytes), 6(packets)"
ok "sequence numbers" has "$text" "seq-hi 0x0, seq 0x4, oseq-hi 0x0, oseq 0x3"
ok "window: packets 1, 2 and 4" has "$text" "00000000 00000000 00000000 0000000b"
ok "replayed packet" has "$text" "replay-window 0 replay 1 failed 0"
ok "last use" has "$(ip xfrm state get $A spi 0x1001)" "lastused $(date +%Y-)"
ok "bits back from the newest packet without esn" has \
	"$(ip xfrm state get src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1002)" \
	"anti-replay context: seq 0x28, oseq 0x0, bitmap 0x0000000b"

echo "# refusals, in words"
no() { ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto "$1" spi 0x2000 mode "$2" "${@:3}"; }
enc=(enc 'cbc(aes)' "$(bits 128)")
gcm=(aead 'rfc4106(gcm(aes))' "$(bits 160)" 128)
ok "encryption without integrity" has "$(no esp tunnel "${enc[@]}")" "Error: encryption without integrity is not carried"
ok "neither of both" has "$(no esp tunnel enc 'ecb(cipher_null)' '')" "Error: encryption without integrity is not carried"
ok "a null digest" has "$(no esp tunnel "${enc[@]}" auth digest_null '')" \
	"Error: Requested AUTH algorithm not found: carried are hmac(sha1), "
ok "a truncation that no RFC has" has "$(no esp tunnel "${enc[@]}" auth-trunc 'hmac(sha1)' "$(bits 160)" 160)" \
	"Error: Requested AUTH_TRUNC algorithm not found: hmac(sha1) is carried with an ICV of 96 bits"
ok "an HMAC key of one byte" has "$(no esp tunnel "${enc[@]}" auth 'hmac(sha256)' 0x01)" \
	"Error: hmac(sha256) takes a key of 256 bits (RFC 4868)"
ok "an HMAC key of one byte in AH" has "$(no ah transport auth 'hmac(sha256)' 0x01)" \
	"Error: hmac(sha256) takes a key of 256 bits (RFC 4868)"
ok "encapsulation of before RFC 3948" has "$(no esp tunnel encap espinudp-nonike 4500 4500 0.0.0.0 "${gcm[@]}")" \
	"Error: Unsupported encapsulation type for ESP: espinudp"
ok "encapsulation in TCP" has "$(no esp tunnel encap espintcp 4500 4500 0.0.0.0 "${gcm[@]}")" \
	"Error: Unsupported encapsulation type for ESP: espinudp"
ok "encapsulation without a port" has "$(no esp tunnel encap espinudp 4500 0 0.0.0.0 "${gcm[@]}")" \
	"Error: UDP encapsulation takes two ports"
ok "BEET mode" has "$(no esp beet "${gcm[@]}")" "Error: only tunnel and transport mode are carried"
ok "any destination" has "$(no esp transport flag wildrecv "${gcm[@]}")" "(wildrecv) are not carried"
ok "numbers that wrap" has "$(no esp transport extra-flag oseq-may-wrap "${gcm[@]}")" "Error: oseq-may-wrap would"
ok "a mark outside of its mask" has "$(no esp tunnel mark 0x11 mask 1 "${gcm[@]}")" "Error: the mark has bits outside of its mask"
ok "offload of UDP encapsulation" has "$(no esp tunnel encap espinudp 4500 4500 0.0.0.0 offload dev lo dir in "${gcm[@]}")" \
	"Error: Encapsulation and TFC padding can't be offloaded"
ok "IPComp" has "$(no comp tunnel comp deflate)" "Error: IPComp is not carried"
ok "reserved SPI" has "$(sa 0xff)" "SPI 255 is reserved"
ok "nothing of it was taken" is "$(ip xfrm state count)" "	 SAD count 3"

echo "# marks and interfaces"
marked="src 192.0.2.5 dst 192.0.2.6 proto esp spi 0x5000"
add_marked() { ip xfrm state add $marked mode tunnel "$@" aead 'rfc4106(gcm(aes))' $(key_of 0x5000) 128; }
ok "an SA of a mark and an interface" is "$(add_marked mark 0x11 mask 0xff output-mark 0x7 mask 0xf if_id 0x2a)" ""
text=$(ip xfrm state list src 192.0.2.5)
ok "its mark" has "$text" "	mark 0x11/0xff "
ok "its output mark" has "$text" "output-mark 0x7/0xf"
ok "its interface" has "$text" "	if_id 0x2a"
ok "get without the mark: No such process" is "$(ip xfrm state get $marked)" "RTNETLINK answers: No such process"
ok "get by another mark: No such process" is "$(ip xfrm state get $marked mark 0x12)" "RTNETLINK answers: No such process"
ok "get by a mark that has its bits" has "$(ip xfrm state get $marked mark 0x311)" "mark 0x11/0xff"
ok "update by another mark: No such process" has "$(ip xfrm state update $marked mode tunnel mark 0x12 mask 0xff \
	aead 'rfc4106(gcm(aes))' $(key_of 0x5000) 128)" "No such process"
ok "update by its own" is "$(ip xfrm state update $marked mode tunnel mark 0x11 mask 0xff output-mark 0x9 if_id 0x2b \
	aead 'rfc4106(gcm(aes))' $(key_of 0x5000) 128)" ""
text=$(ip xfrm state list src 192.0.2.5)
ok "changes output mark and interface" has "$(echo $text)" "output-mark 0x9/0xffffffff"
ok "and the mark not" has "$text" "mark 0x11/0xff"
ok "if_id of the update" has "$text" "if_id 0x2b"
ok "another of the same SPI: why not" is "$(add_marked mark 0x12 mask 0xff)" \
	"Error: an SA with this destination, SPI and protocol has another mark: packets that arrive have none to tell them apart by."
ok "delete by another mark: No such process" is "$(ip xfrm state delete $marked mark 0x12)" "RTNETLINK answers: No such process"
ok "delete by its own" is "$(ip xfrm state delete $marked mark 0x11)$(ip xfrm state list src 192.0.2.5)" ""
pol="src 10.55.0.0/16 dst 10.56.0.0/16 dir out"
policy_of() { ip xfrm policy add $pol "$@" tmpl src 192.0.2.5 dst 192.0.2.6 proto esp mode tunnel; }
ok "policies that differ in mark and if_id are others" is \
	"$(policy_of; policy_of mark 1; policy_of mark 1 mask 0xf; policy_of if_id 1; policy_of mark 1 if_id 1)" ""
ok "each is there once" is "$(policy_of mark 1 mask 0xf)$(policy_of if_id 1)" \
	"RTNETLINK answers: File existsRTNETLINK answers: File exists"
text=$(ip xfrm policy list src 10.55.0.0/16)
ok "five" is "$(grep -c 'dir out' <<<"$text") $(grep -c 'mark 0x1/0xf ' <<<"$text") $(grep -c 'mark 0x1/0xffffffff' <<<"$text") $(grep -c 'if_id 0x1' <<<"$text")" "5 1 2 2"
ok "get by mark" has "$(ip xfrm policy get $pol mark 1 mask 0xf)" "mark 0x1/0xf "
ok "a mark that is no policy's: No such file" is "$(ip xfrm policy get $pol mark 2)" "RTNETLINK answers: No such file or directory"
ok "delete by mark and if_id" is "$(ip xfrm policy delete $pol mark 1 if_id 1)$(ip xfrm policy list src 10.55.0.0/16 | grep -c 'dir out')" 4
for of in "" "mark 1" "mark 1 mask 0xf" "if_id 1"; do ip xfrm policy delete $pol $of; done
ok "all are gone" is "$(ip xfrm policy list src 10.55.0.0/16)" ""

echo "# larval SAs"
text=$(ip xfrm state allocspi src 192.0.2.3 dst 192.0.2.4 proto esp mode tunnel reqid 5 min 0x3000 max 0x3000)
ok "allocspi" is "$text" "src 192.0.2.3 dst 192.0.2.4
	proto esp spi 0x00003000 reqid 5 mode tunnel
	replay-window 0 
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 192.0.2.3/32 dst 192.0.2.4/32 "
ok "no SPI left" has "$(ip xfrm state allocspi src 192.0.2.3 dst 192.0.2.4 proto esp mode tunnel min 0x3000 max 0x3000)" \
	"none is free between 0x3000 and 0x3000"
ok "update makes it an SA" is "$(ip xfrm state update src 192.0.2.3 dst 192.0.2.4 proto esp spi 0x3000 mode tunnel \
	aead 'rfc4106(gcm(aes))' $KEY 128)" ""
ip xfrm state allocspi src 192.0.2.3 dst 192.0.2.4 proto esp mode tunnel min 0x3001 max 0x3001 >/dev/null
# charon sets it to 165
larval_age=$(($(cat /proc/sys/net/core/xfrm_acq_expires) + 1))
tell tick "$larval_age" >/dev/null
ok "a larval SA dies" is "$(ip xfrm state get src 192.0.2.3 dst 192.0.2.4 proto esp spi 0x3001)" \
	"RTNETLINK answers: No such process"
ok "an SA does not" has "$(ip xfrm state get src 192.0.2.3 dst 192.0.2.4 proto esp spi 0x3000)" "spi 0x00003000"

echo "# policies, beside the kernel's"
policies() {
	"$1" xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel
	"$1" xfrm policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir in priority 7 tmpl src 192.0.2.2 dst 192.0.2.1 proto esp mode tunnel
	"$1" xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out
	"$1" xfrm policy add src 2001:db8::/32 dst ::/0 proto udp dport 53 dir out action block
	"$1" xfrm policy update src 10.7.0.0/16 dst 10.8.0.0/16 dir fwd priority 3
	"$1" xfrm policy add src 10.1.1.0/24 dst 10.2.1.0/24 proto udp sport 5 dir out priority 5 \
		tmpl src 10.1.1.1 dst 10.2.1.1 proto esp reqid 3 mode transport tmpl src 192.0.2.1 dst 192.0.2.2 proto ah reqid 4 mode tunnel
	"$1" xfrm policy add src 10.2.1.0/24 dst 10.1.1.0/24 dir in priority 5 \
		tmpl src 10.2.1.1 dst 10.1.1.1 proto ah mode transport tmpl src 2001:db8::2 dst 2001:db8::1 proto esp spi 0x1234 mode tunnel level use
	"$1" xfrm policy add src 192.0.2.1/32 dst 192.0.2.2/32 dir out priority 9 tmpl proto ah mode transport
	"$1" xfrm policy delete src 10.9.0.0/16 dst 10.8.0.0/16 dir fwd
	"$1" xfrm policy get src 10.7.0.0/16 dst 10.8.0.0/16 dir fwd
	"$1" xfrm policy list | grep -v '^	\(lifetime\|  \)'
	"$1" xfrm policy setdefault in block
	"$1" xfrm policy getdefault
	"$1" -s xfrm policy count
	"$1" xfrm policy deleteall dir fwd
	"$1" xfrm policy flush
	"$1" xfrm policy list
}
export -f policies
ours=$(policies ip)
if theirs=$(unshare -Urn bash -c 'policies /bin/ip' 2>&1) && [[ $theirs == *"dir out"* ]]; then
	sorted() { sed 's/^src/\n&/' <<< "$1" | grep -v '^$' | sort; }
	ok "add, get, list, delete, defaults, flush print the same" is "$(sorted "$ours")" "$(sorted "$theirs")"
else
	skip "add, get, list, delete, defaults, flush print the same" "no user namespace or no XFRM in this kernel"
fi
ok "delete of none is no such entry" has "$ours" "RTNETLINK answers: No such file or directory"
ip xfrm policy setdefault in accept

echo "# monitor"
monitor
sa 0x4000 limit time-soft $((larval_age + 20)) limit time-hard $((larval_age + 70))
ok "sees a new SA" sees $mon "proto esp spi 0x00004000"
tell tick 30 >/dev/null
ok "sees it expire softly" sees $mon "hard 0"
tell tick 60 >/dev/null
ok "sees it expire for good" sees $mon "hard 1"
ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel
ok "sees a policy" sees $mon "src 10.1.0.0/16 dst 10.2.0.0/16"
tell acquire >/dev/null
ok "sees an ACQUIRE" sees $mon "acquire proto esp"
ok "with the flow" sees $mon "sel src 10.1.0.0/32 dst 10.2.0.0/32 proto icmp type 8 code 0"
tell acquire >/dev/null
ip xfrm state delete src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1002
ok "sees the next change, and no second ACQUIRE" sees $mon "Deleted src 2001:db8::1 dst 2001:db8::2"
sa 0x4001 encap espinudp 40123 4500 0.0.0.0
for to in "192.0.2.1 40123" "192.0.2.1 40124" "192.0.2.1 40124" "192.0.2.77 40124"; do
	tell mapping 4001 "$to" >/dev/null
done
ok "sees where a NAT has moved a peer" sees $mon "Mapping change 192.0.2.1:40123 -> 192.0.2.1:40124"
ok "for which SA" sees $mon "dst 192.0.2.2  reqid 0x1 protocol esp  SPI 0x4001"
read -r -t 10 -u $mon line
ok "once a change" is "$line" "Mapping change 192.0.2.1:40123 -> 192.0.2.77:40124"
ip xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out
ok "sees a policy go" sees $mon "Deleted src 10.1.0.0/16 dst 10.2.0.0/16"
ip xfrm state flush
ok "sees a flush" sees $mon "Flushed state"
monitor_stop

echo "# many"
for ((i = 0; i < 3000; i++)); do
	printf 'xfrm state add src 192.0.2.1 dst 192.0.%d.%d proto esp spi 0x%x mode tunnel reqid %d aead rfc4106(gcm(aes)) %s 128\n' \
		$((i / 250)) $((i % 250 + 1)) $((0x10000 + i)) $i "$(key_of $((0x10000 + i)))"
done > "$work/batch"
sa 0x1000
sa 0x1001
ok "3000 adds from ip -batch" is "$(ip -batch "$work/batch")" ""
ok "3002 counted" is "$(ip xfrm state count)" "	 SAD count 3002"
ok "3002 listed" is "$(ip xfrm state list | grep -c '^src')" 3002
ok "a second SA with a key that its sender uses already" has \
	"$(ip xfrm state add src 192.0.2.1 dst 192.0.2.9 proto esp spi 0x6000 mode tunnel aead 'rfc4106(gcm(aes))' $KEY 128)" \
	"another SA from this source address has the same key"
cbc="auth-trunc hmac(sha256) $(bits 256) 128 enc cbc(aes) $(bits 128)"
ok "but not where the key brings no nonces" is "$(ip xfrm state add $A spi 0x6001 mode tunnel $cbc
	ip xfrm state add $A spi 0x6002 mode tunnel $cbc
	ip xfrm state delete $A spi 0x6001
	ip xfrm state delete $A spi 0x6002)" ""
ok "deleteall of 32 in one datagram" is "$(ip xfrm state deleteall dst 192.0.5.96/27)" ""
ok "and no others" is "$(ip xfrm state count)" "	 SAD count 2970"
ip xfrm state flush

echo "# every transform, beside the kernel's words"
# A key of a wrong length: Linux has the cipher's own refusal, or a text without a reason.
theirs() { sed -E 's/^(Error: Kernel was unable to init.*|RTNETLINK answers: Invalid argument)$/wrong key/' < "$1"; }
# Ours say more than that an algorithm is not found, or a length not right.
ours() { cases_run ip | sed -E 's/^(Error: Requested .* not found|Error: Invalid length requested .*): .*/\1./; s/^Error: .* takes a key of .*/wrong key/'; }
ours > "$work/ours"
theirs tests/interop/ip_xfrm_linux.txt > "$work/theirs"
ok "$(cases | wc -l) SAs are taken and printed, or refused, as by Linux" is "$(< "$work/ours")" "$(< "$work/theirs")"
ok "of which most are taken" is "$(grep -c '^src' "$work/ours")" "$(($(cases | wc -l) - $(case_faults | wc -l)))"

echo "# changes"
moved() {
	ip xfrm state "$1" $A spi 0x7101 reqid 5 mode tunnel replay-window 32 encap espinudp "$2" 4500 0.0.0.0 "${gcm[@]}"
}
moved add 40123
tell send 7101 5 100 >/dev/null
ok "an update moves the ports of an encapsulation" is "$(moved update 40124)" ""
text=$(ip xfrm state get $A spi 0x7101)
ok "as in Linux" has "$text" "	encap type espinudp sport 40124 dport 4500 addr 0.0.0.0"
ok "and no number is used again" has "$text" "oseq 0x5"
ip xfrm state allocspi src 192.0.2.3 dst 192.0.2.4 proto ah mode transport reqid 5 min 0x3100 max 0x3100 >/dev/null
ok "an SPI of AH becomes an SA" is "$(ip xfrm state update src 192.0.2.3 dst 192.0.2.4 proto ah spi 0x3100 reqid 5 \
	mode transport auth-trunc 'hmac(sha512)' "$(bits 512)" 256)" ""
ok "with its algorithm" has "$(ip xfrm state get src 192.0.2.3 dst 192.0.2.4 proto ah spi 0x3100)" \
	"	auth-trunc hmac(sha512) $(bits 512) 256"
ip xfrm state flush

echo "# what ip cannot say"
said=$(LD_PRELOAD=$XIPSEC_PRELOAD python3 tests/interop/xfrm_raw.py 2>&1)
ok "AES-GMAC in AH, windows of 65536 packets, ESN without any" is "$said" "ah-gmac 0
ah-gcm -22
window-65536 0
window-65537 -22
no-window 0"
text=$(ip xfrm state list)
ok "AES-GMAC in AH is printed" has "$text" "	proto ah spi 0x00007001 reqid 0 mode transport
	replay-window 0 
	aead rfc4543(gcm(aes)) "
ok "so are windows beyond Linux's" has "$text" "	 replay_window 65536, bitmap-length 2048"
ok "bit by bit" is "$(ip xfrm state get src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x7002 | grep -c '^	 00000000 ')" 256
ok "and ESN without one" has "$text" "	proto esp spi 0x00007003 reqid 0 mode tunnel
	replay-window 0 flag esn"
monitor
ip xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x7002
ok "the monitor takes such a message" sees $mon "replay_window 65536, bitmap-length 2048"
monitor_stop
ip xfrm state flush

echo "# file of a daemon"
cat > "$work/file" <<- END
	# gateways
	xfrm state add $A spi 0x5000 mode tunnel \\
	    aead rfc4106(gcm(aes)) $KEY 128

	xfrm state add $A spi 0x5000 mode tunnel aead rfc4106(gcm(aes)) $KEY 128
	xfrm policy update src 10.1.0.0/16 dst 10.2.0.0/16 dir out   # comment
END
ok "loads, and what exists is no error" is "$(tell batch "$work/file")" "batch 0"
ok "SA of the file" has "$(ip xfrm state list)" "spi 0x00005000"
echo "xfrm state add $A spi 0x5001 mode beet aead rfc4106(gcm(aes)) $KEY 128" >> "$work/file"
ok "a refused line is named" is "$(tell batch "$work/file")" \
	"batch -22 $work/file:7: Error: only tunnel and transport mode are carried."
echo "xfrm state add $A spi 0x5002 mode tunnel aead rfc4106(gcm(aes)) $KEY 128" >> "$work/file"
echo "xfrm state add $A spi 0x5003 mode tunnel aead" >> "$work/file"
echo "xfrm policy add src 10.3.0.0/16 dst 10.4.0.0/16 dir out" >> "$work/file"
text=$(tell batch "$work/file"; read -r -t 10 -u "$from_server" line; echo "$line")
ok "each of several refused lines" has "$text" "$work/file:7: Error: only tunnel and transport mode are carried.
$work/file:9: "
ok "and those between them are loaded" has "$(ip xfrm state list; ip xfrm policy list)" "spi 0x00005002"
ok "as are those behind" has "$(ip xfrm policy list)" "src 10.3.0.0/16 dst 10.4.0.0/16"
echo "route add default via 10.0.0.1" >> "$work/file"
ok "other commands are not run" has "$(tell batch "$work/file")" "batch -22 $work/file:11: only \`xfrm state|policy add|update"
echo "xfrm state add $A spi 0x5004 mode tunnel aead rfc4106(gcm(aes)) ${KEY}z 128" > "$work/bad"
echo "xfrm state add $A spi 0x5004 mode tunnel reqid $KEY aead rfc4106(gcm(aes)) $KEY 128" >> "$work/bad"
text=$(tell batch "$work/bad"; read -r -t 10 -u "$from_server" line; echo "$line")
ok "a line that ip refuses is named" has "$text" "$work/bad:1: Error: argument \"...\" is wrong: ALGO-KEYMAT"
ok "so is the next" has "$text" "$work/bad:2: Error: argument \"...\" is wrong: REQID"
ok "and no key is told" is "$(grep -c "${KEY:0:12}" <<< "$text")" 0
ok "no file" has "$(tell batch "$work/none")" "No such file or directory"

echo "# restart"
monitor
stop_server
ok "a request without a server is refused" has "$(ip xfrm state list)" "Protocol not supported"
server
monitored 0x4
sa 0x6000
ok "the monitor finds the new server" sees $mon "spi 0x00006000"
stop_server
echo "1..$count"
