#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What policy decides, packet by packet, on the wire: selectors out of gw2, and what gw2 lets in.
#
#   wan: 10.1.1.2, the hosts behind 192.0.2.1 === gw2 192.0.2.2, 10.1.2.1 --- h2 10.1.2.2
#
# Every packet carries a word of its own. A watcher on the wire tells by which SA it went, or that it went in clear: the
# SAs do not encrypt (RFC 2410).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools ip jq nsenter

net_up wan gw2 h2 || tap_skip_all "cannot make network namespaces"
net_in wan ip addr add 192.0.2.1/32 dev br
net_in wan ip addr add 10.1.1.2/32 dev lo
net_in wan ip route add 10.1.2.0/24 via 192.0.2.2
tap_check "gw2 starts" start_daemon gw2 || tap_done

# watch LABEL NAME DEV: a line "WORD SPI|clear" for each packet that arrives there with a word in it
watch() {
	net_bg "$1" "$2" /usr/bin/python3 -IS -c '
import re, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
s.bind((sys.argv[1], 0x0800))
print("ready", flush=True)
while True:
    packet, (_, _, kind, _, _) = s.recvfrom(65536)
    word = re.search(rb"<(w[0-9]+)>", packet)
    if word and kind != 4:      # PACKET_OUTGOING
        head = (packet[0] & 15) * 4
        how = "0x%x" % int.from_bytes(packet[head:head + 4], "big") if packet[9] == 50 else "clear"
        print(word[1].decode(), how, flush=True)' "$3"
	wait_for 10 grep -q ready "$XI_TMP/$1.log"
}
watch wire wan br
watch lan h2 lan0
watch host gw2 xipsec0

# Packets are queued with what is expected of each, and sent by `round`:
#   goes NAME STAGES SPI|clear        seen on the wire, by that SA
#   arrives NAME STAGES lan|host      seen there, in clear
#   dropped NAME STAGES REASON        seen nowhere; REASON: a group of below
# @ in STAGES is the word; without ip at their end they are between $ends.
declare -A group=([discard]="policy_discard worker_discard clear_out" [no_sa]=no_sa [in_policy]=in_policy
	[clear]="clear_in worker_clear_in")
word=0
names=() words=() wants=() lines=()
queue() {
	local line=${2//@/<w$((++word))>}
	[[ $line == *"| ip "* ]] || line+=" | ip $ends"
	names+=("$1") words+=("w$word") wants+=("$3") lines+=("$line")
}
goes() { queue "$1" "$2" "wire $3"; }
arrives() { queue "$1" "$2" "$3 clear"; }
dropped() { queue "$1" "$2" "$3"; }

# In drop, what each group has counted; in saw, where each word was seen. Packets that xipsec0 hands on are seen twice.
look() {
	local g name value places=wire w how
	drop=() saw=()
	for g in "${!group[@]}"; do drop[$g]=0; done
	while read -r name value; do
		for g in "${!group[@]}"; do
			[[ " ${group[$g]} " != *" $name "* ]] || ((drop[$g] += value))
		done
	done < <(gwctl gw2 xipsec stats -j | jq -r '.reasons | to_entries[] | "\(.key) \(.value)"')
	[ "$1" = h2 ] || places="host lan"
	for g in $places; do
		while read -r w how; do
			[ "$w" = ready ] || saw[$w]="$g $how"
		done < "$XI_TMP/$g.log"
	done
}
done_all() {
	local i
	look "$1"
	for i in "${!words[@]}"; do
		[[ ${wants[i]} != *" "* ]] || [ -n "${saw[${words[i]}]:-}" ] || return 1
	done
	for i in "${!group[@]}"; do
		[ "${drop[$i]}" -ge "${due[$i]}" ] || return 1
	done
}
# round TITLE FROM
round() {
	local i g want
	local -A drop saw due
	look "$2"
	for g in "${!group[@]}"; do due[$g]=${drop[$g]}; done
	for want in "${wants[@]}"; do
		[[ $want == *" "* ]] || ((++due[$want]))
	done
	printf '%s\n' "${lines[@]}" | forge "$2"
	wait_for 3 done_all "$2"
	for i in "${!words[@]}"; do
		want=${wants[i]}
		[[ $want == *" "* ]] || want=
		tap_is "$1: ${names[i]}, ${wants[i]}" "${saw[${words[i]}]:-}" "$want"
	done
	for g in "${!group[@]}"; do
		[ "${drop[$g]}" = "${due[$g]}" ] || tap_is "$1: drops for $g" "${drop[$g]}" "${due[$g]}"
	done
	names=() words=() wants=() lines=()
}
xfrm() {
	gwctl gw2 xipsec xfrm "$@"
}
load() {
	sed "s/^/xfrm /" | gwctl gw2 xipsec run ip -batch -
}
# sa out|in SPI [MODE WORDS...]: reqid as the SPI
sa() {
	local a=192.0.2.2 b=192.0.2.1
	[ "$1" = out ] || { a=$b b=192.0.2.2; }
	pair_state $a $b "$2" "$NULL" reqid $(($2)) mode "${3:-tunnel}" replay-window 0 "${@:4}" |
		sed "s/^state/state add/; s/@160/$(pair_key $(($2)) 160)/"
}
tmpl_out() {
	echo "tmpl src 192.0.2.2 dst 192.0.2.1 proto esp reqid $(($1)) mode tunnel"
}
tmpl_in() {
	echo "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $(($1)) mode tunnel"
}

# out: selectors ---------------------------------------------------------------------------------------------------------
N="src 10.1.2.0/24 dst 10.1.1.0/24"
{
	for spi in 0x211 0x212 0x213 0x214 0x215 0x216; do sa out $spi; done
	echo "policy add $N proto udp dport 53 dir out priority 10"
	echo "policy add $N proto udp dport 7000 dir out priority 20 $(tmpl_out 0x211)"
	echo "policy add $N proto udp sport 6000 dir out priority 20 $(tmpl_out 0x212)"
	echo "policy add $N proto icmp type 8 dir out priority 20 $(tmpl_out 0x214)"
	echo "policy add $N proto icmp type 3 code 1 dir out priority 20 $(tmpl_out 0x215)"
	echo "policy add $N proto tcp dir out priority 30 action block"
	echo "policy add src 10.1.2.0/24 dst 10.1.1.99/32 dir out priority 5 action block"
	echo "policy add $N dir out priority 40 $(tmpl_out 0x216)"
} | load || tap_not_ok "SAs and policies"
# ip has no word for a port mask
net_in gw2 env LD_PRELOAD="$PWD/$XI_BUILD/libxipsec-xfrm.so" /usr/bin/python3 -IS -c '
import socket, struct
net = lambda a: socket.inet_aton(a) + bytes(12)
sel = net("10.1.1.0") + net("10.1.2.0") + struct.pack("!4H", 0x4000, 0xf000, 0, 0)
sel += struct.pack("=HBBB3xII", socket.AF_INET, 24, 24, 17, 0, 0)
info = sel + struct.pack("=4Q4Q", *[2 ** 64 - 1] * 4, *[0] * 4) + bytes(32) + struct.pack("=IIBBBB4x", 20, 0, 1, 0, 0, 0)
tmpl = net("192.0.2.1") + bytes(4) + struct.pack("=B3xH2x", 50, socket.AF_INET) + net("192.0.2.2")
tmpl += struct.pack("=IBBBx3I", 0x213, 1, 0, 0, *[2 ** 32 - 1] * 3)
assert (len(info), len(tmpl)) == (168, 64)
payload = info + struct.pack("=HH", 4 + len(tmpl), 5) + tmpl
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)
sock.bind((0, 0))
sock.send(struct.pack("=IHHII", 16 + len(payload), 0x13, 5, 1, 0) + payload)
assert struct.unpack_from("=i", sock.recv(65536), 16)[0] == 0' || tap_not_ok "a policy with a port mask"


ends="10.1.2.2 10.1.1.2"
for turn in "first packet" "second packet"; do
	goes "bypass inside of what is protected" "udp 1000 53 @ $ends" clear
	goes "by destination port" "udp 1000 7000 @ $ends" 0x211
	goes "by source port" "udp 6000 1 @ $ends" 0x212
	goes "of equal priorities the older" "udp 6000 7000 @ $ends" 0x211
	goes "first port of a mask" "udp 1000 16384 @ $ends" 0x213
	goes "last port of a mask" "udp 1000 20479 @ $ends" 0x213
	goes "port before a mask" "udp 1000 16383 @ $ends" 0x216
	goes "port behind a mask" "udp 1000 20480 @ $ends" 0x216
	goes "ICMP by type" "icmp 8 0 @" 0x214
	goes "ICMP by type, any code" "icmp 8 5 @" 0x214
	goes "ICMP by type and code" "icmp 3 1 @" 0x215
	goes "ICMP of another code" "icmp 3 3 @" 0x216
	goes "ICMP of another type" "icmp 13 0 @" 0x216
	goes "another protocol" "text 47 ....@" 0x216
	dropped "block by protocol" "text 6 ....................@" discard
	dropped "block by address" "udp 1000 7000 @ 10.1.2.2 10.1.1.99 | ip 10.1.2.2 10.1.1.99" discard
	# of later fragments nothing but the port-less policy is sure
	goes "first fragment, by its port" "udp 1000 7000 ................@ $ends | ip $ends more" 0x211
	goes "later fragment" "text 17 @ | ip $ends at=1480" 0x216
	goes "later fragment that is not the last" "text 17 ........@ | ip $ends at=800 more" 0x216
	goes "later fragment whose bytes look like the bypassed port" "raw 17 03e8003500000000 | cat @ | ip $ends at=1480" 0x216
	round "$turn" h2
done

xfrm policy delete $N dir out
for turn in "first packet" "second packet"; do
	dropped "later fragment without a port-less policy, in doubt" "text 17 @ | ip $ends at=1480" discard
	goes "of a protocol of which no policy looks at ports" "text 47 @ | ip $ends at=1480" clear
	round "$turn" h2
done
load <<< "policy add $N dir out priority 40 $(tmpl_out 0x216)"
goes "with that policy again" "text 17 @ | ip $ends at=1480" 0x216
round "later fragment" h2

# each change holds from the next packet on
changed() {
	local name=$1 how=$2
	shift 2
	xfrm policy "$@" > /dev/null || tap_not_ok "xipsec xfrm policy $*"
	"$how" "$name" "$packet" "$want"
	round "change $i" h2
}
for i in 1 2; do
	packet="udp 1000 53 @ $ends" P="$N proto udp dport 53 dir out"
	# shellcheck disable=SC2046,SC2086
	{
		want=0x211 changed "bypass to protect" goes update $P priority 10 $(tmpl_out 0x211)
		want=0x212 changed "to another SA" goes update $P priority 10 $(tmpl_out 0x212)
		want=discard changed "to block" dropped update $P priority 10 action block
		want=0x216 changed "to a lower priority" goes update $P priority 50 action block
		want=0x216 changed "deleted" goes delete $P
		want=clear changed "bypass again" goes add $P priority 10
	}
	packet="udp 1 1 @ 10.1.2.2 10.1.3.3 | ip 10.1.2.2 10.1.3.3"
	want=discard changed "by default, block" dropped setdefault out block
	packet="udp 1 1 @ $ends"
	want=0x216 changed "by default, accept" goes setdefault out accept
done
xfrm state delete src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x211
dropped "deleted" "udp 1000 7000 @ $ends" no_sa
round "the SA" h2

# in ---------------------------------------------------------------------------------------------------------------------
xfrm state flush
xfrm policy flush
F="src 10.1.1.0/24 dst 10.1.2.0/24"
{
	sa in 0x301
	sa in 0x302
	sa in 0x303 tunnel sel $F proto udp dport 7000 | sed 's/reqid 771/reqid 769/'
	sa in 0x304 transport
	sa in 0x305 tunnel sel $F proto icmp type 8 code 0 | sed 's/reqid 773/reqid 769/'
	echo "policy add $F dir fwd priority 20 $(tmpl_in 0x301)"
	echo "policy add src 10.1.1.0/24 dst 10.1.2.1/32 dir in priority 20 $(tmpl_in 0x302)"
	echo "policy add src 10.6.0.0/24 dst 10.1.2.0/24 dir fwd"
	echo "policy add $F proto udp dport 53 dir fwd priority 10"
	echo "policy add src 10.1.1.66/32 dst 10.1.2.0/24 dir fwd priority 1 action block"
	echo "policy add src 192.0.2.1/32 dst 192.0.2.2/32 proto 99 dir in tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid $((0x304)) mode transport"
} | load || tap_not_ok "SAs and policies"
# through SPI ENDS [STAGES]: a packet of 10.1.1.2 in that tunnel
seq=0
through() {
	echo "${3:-udp 1000 7000 @ ${2%% at=*}} | ip $2 | esp $1 $((seq + 1)) $(pair_key $(($1)) 160) | ip 192.0.2.1 192.0.2.2"
}
H="10.1.1.2 10.1.2.2" G="10.1.1.2 10.1.2.1" ends="192.0.2.1 192.0.2.2"
for turn in "first packet" "second packet"; do
	arrives "as policy wants it" "$(through 0x301 "$H")" lan
	dropped "of the SA of another template (reqid)" "$(through 0x302 "$H")" in_policy
	arrives "for the gateway itself, by the in policy" "$(through 0x302 "$G")" host
	dropped "for the gateway itself, as the forward policy wants it" "$(through 0x301 "$G")" in_policy
	arrives "within the SA's selector" "$(through 0x303 "$H")" lan
	dropped "outside of the SA's selector, by port" "$(through 0x303 "$H" "udp 1000 7001 @ $H")" in_policy
	dropped "outside of the SA's selector, by address" "$(through 0x303 "10.9.0.1 10.1.2.2")" in_policy
	dropped "a later fragment, and the SA's selector has ports" "$(through 0x303 "$H at=1480" "text 17 @")" in_policy
	arrives "ICMP within the SA's selector" "$(through 0x305 "$H" "icmp 8 0 @")" lan
	dropped "ICMP of another type" "$(through 0x305 "$H" "icmp 13 0 @")" in_policy
	dropped "ICMP of another code" "$(through 0x305 "$H" "icmp 8 1 @")" in_policy
	dropped "a tunnel that no policy wants" "$(through 0x301 "10.5.0.1 10.1.2.2")" in_policy
	dropped "a tunnel where policy allows without" "$(through 0x301 "10.6.0.1 10.1.2.2")" in_policy
	dropped "a tunnel where policy bypasses" "$(through 0x301 "$H" "udp 1 53 @ $H")" in_policy
	dropped "what policy blocks" "$(through 0x301 "10.1.1.66 10.1.2.2")" in_policy
	arrives "transport mode as policy wants it" "text 99 @ | esp 0x304 1 $(pair_key 0x304 160)" host
	arrives "transport mode though no policy wants it, as the kernel does" \
		"udp 1 1 @ $ends | esp 0x304 1 $(pair_key 0x304 160)" host
	dropped "in clear, forwarded" "udp 1000 7000 @ $H | ip $H" clear
	dropped "in clear, for the gateway" "udp 1000 7000 @ $G | ip $G" clear
	dropped "in clear, in transport mode's place" "text 99 @" clear
	dropped "in clear, a later fragment in doubt" "text 17 @ | ip $H at=1480" clear
	arrives "in clear where policy bypasses" "udp 1000 53 @ $H | ip $H" lan
	arrives "in clear where policy allows" "udp 1 1 @ 10.6.0.1 10.1.2.2 | ip 10.6.0.1 10.1.2.2" lan
	round "in, $turn" wan
done
set_forward() {
	# shellcheck disable=SC2086
	xfrm policy update $F dir fwd priority 20 $1
}
for i in 1 2; do
	set_forward "$(tmpl_in 0x302)"
	dropped "another template" "$(through 0x301 "$H")" in_policy
	arrives "and its SA" "$(through 0x302 "$H")" lan
	round "change $i" wan
	set_forward ""
	arrives "allowed in clear" "udp 1000 7000 @ $H | ip $H" lan
	dropped "and not in a tunnel" "$(through 0x301 "$H")" in_policy
	round "change $i" wan
	set_forward "action block"
	dropped "blocked" "udp 1000 7000 @ $H | ip $H" clear
	round "change $i" wan
	set_forward "$(tmpl_in 0x301)"
	dropped "to be protected" "udp 1000 7000 @ $H | ip $H" clear
	arrives "and is" "$(through 0x301 "$H")" lan
	round "change $i" wan
done
tap_done
