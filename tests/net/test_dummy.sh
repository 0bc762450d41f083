#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Dummy packets (RFC 4303 section 2.6) on request: next header 59 inside, like other packets outside, the SA's own numbers;
# and the receiver, who swallows them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/sas.sh
need_root
need_tools ip jq tcpdump ping
/usr/bin/python3 -c 'import cryptography' 2> /dev/null || tap_skip_all "python3-cryptography is not installed; run make deps"

XI_SNAPLEN=2048             # few bytes a packet: the capture holds more of them
net_up || tap_skip_all "cannot make network namespaces"
start_both() {
	start_daemon gw1 && start_daemon gw2
}
tap_check "two daemons start" start_both || tap_done

# both GW LINES: to both gateways
both() {
	load_lines gw1 <<< "$1" && load_lines gw2 <<< "$1"
}
dummy() {
	gwctl gw1 xipsec dummy "$@" 2>&1
}
# refused TEXT ARGUMENT...: exit status 1, and this is said
refused() {
	local text=$1 out
	shift
	out=$(dummy "$@")
	[ $? = 1 ] && grep -qF -- "$text" <<< "$out" && return
	echo "$out"
	return 1
}
misused() {
	dummy "$@" | grep -q '^usage: xipsec dummy'
	[ "${PIPESTATUS[0]} $?" = "2 0" ]
}
# sa GW SPI FILTER: of `xipsec show`
sa() {
	gwctl "$1" xipsec show -j | jq -r --arg spi "$(printf 0x%08x "$2")" ".sas[] | select(.spi == \$spi) | $3"
}
reason() {
	gwctl "$1" xipsec stats -j | jq -r ".reasons.$2 // 0"
}
swallowed() {
	[ "$(reason gw2 dummy)" -ge "$1" ]
}
drops() {
	gwctl "$1" xipsec stats -j | jq .drops
}

# capture_end N FILTER: not before the capture has so many; it may lag behind
captured() {
	[ "$(pcap_count "$XI_TMP/wan-br.pcap" "$2")" -ge "$1" ]
}
capture_end() {
	wait_for 20 captured "$@"
	capture_stop wan br
}

spi=0x1001 dst=192.0.2.2
for gw in gw1 gw2; do
	tunnel_lines $gw 4 4 replay-window 64 | load_lines $gw
done
net_in h1 ping -q -c 3 -i 0.01 -W 2 10.1.2.2 > /dev/null
drops_before=$(drops gw2) bytes=$(sa gw1 $spi .bytes) packets=$(sa gw1 $spi .packets)
oseq=$(sa gw1 $spi .oseq) received=$(sa gw2 $spi .packets)

capture_start wan br
tap_is "five dummy packets of 100 bytes" "$(dummy -n 5 -s 100 $spi $dst)" "5 of 5 dummy packets sent on SA 0x00001001 to 192.0.2.2"
tap_check "the peer swallows them" wait_for 5 swallowed 5
# the same length inside, DSCP 0 and DF
net_in h1 ping -q -c 1 -W 2 -M do -s 72 10.1.2.2 > /dev/null
capture_end 6 "src host 192.0.2.1 and esp"
tests/net/dummies.py "$XI_TMP/wan-br.pcap" $spi "$(sa_key $((spi)))" > "$XI_TMP/inside"
tap_is "inside: next header 59 and the payload" "$(awk '$3 == 59 { print $4 }' "$XI_TMP/inside" | sort | uniq -c | xargs)" "5 100"
tap_is "outside: IP header and length are those of an echo request" "$(awk '{ print $1, $2 }' "$XI_TMP/inside" | sort -u | wc -l)" 1
tap_is "which is there, too" "$(awk '$3 == 4' "$XI_TMP/inside" | wc -l)" 1
tap_is "the SA's packets and bytes" "$(($(sa gw1 $spi .packets) - packets)) $(($(sa gw1 $spi .bytes) - bytes))" "6 600"
tap_is "its sequence numbers" "$(($(sa gw1 $spi .oseq) - oseq))" 6
tap_is "dummy_sent counts them" "$(reason gw1 dummy_sent)" 5
tap_is "the peer's window has moved" "$(sa gw2 $spi .top)" "$(sa gw1 $spi .oseq)"
tap_is "its SA counts what carried something" "$(($(sa gw2 $spi .packets) - received))" 1
tap_is "and it has dropped nothing" "$(drops gw2)" "$drops_before"

capture_start wan br
tap_check "as many as are allowed at once, of any size" dummy -n 1000 $spi
tap_check "all of them arrive" wait_for 10 swallowed 1005
capture_end 1000 "src host 192.0.2.1 and esp"
tests/net/dummies.py "$XI_TMP/wan-br.pcap" $spi "$(sa_key $((spi)))" > "$XI_TMP/inside"
tap_is "each with a number of its own" "$(awk '$3 == 59' "$XI_TMP/inside" | wc -l)" 1000
tap_is "from 40 to 1200 bytes" "$(awk '$4 < 40 || $4 > 1200' "$XI_TMP/inside" | wc -l)" 0
tap_check "of many sizes" test "$(awk '{ print $4 }' "$XI_TMP/inside" | sort -u | wc -l)" -gt 300
tap_check "traffic goes on" net_in h1 ping -q -c 5 -i 0.01 -W 2 10.1.2.2
tap_is "nobody has dropped anything" "$(drops gw1) $(drops gw2)" "0 $drops_before"

# the largest: 1600 of the wire, less 20, 8, 8 and 16, in fours, less 2
tap_check "the path's MTU is a bound" refused "at most 1546 bytes" -s 1547 $spi
tap_check "up to which there is room" dummy -s 1546 $spi
tap_check "and that arrives" wait_for 5 swallowed 1006
tap_check "nothing inside" dummy -s 0 $spi
tap_check "arrives as well" wait_for 5 swallowed 1007

# IPv6, transport mode, AH, larval, a bundle, limits
both "xfrm state add src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x2001 reqid 1 mode transport aead rfc4106(gcm(aes)) $(sa_key 21) 128 replay-window 64
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x2002 reqid 2 mode transport aead rfc4106(gcm(aes)) $(sa_key 22) 128 replay-window 64
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x2003 reqid 3 mode tunnel encap espinudp 4500 4500 0.0.0.0 enc cbc(aes) 0x$(printf 7%.0s {1..32}) auth-trunc hmac(sha256) 0x$(printf 8%.0s {1..64}) 128 replay-window 64
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto ah spi 0x2004 reqid 4 mode tunnel auth-trunc hmac(sha256) 0x$(printf 9%.0s {1..64}) 128
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x2005 reqid 5 mode tunnel aead rfc4106(gcm(aes)) $(sa_key 25) 128 limit packet-hard 3"
capture_start wan br
n=$(reason gw2 dummy)
for want in 0x2001 0x2002 0x2003; do
	tap_check "SA $want" dummy -n 4 -s 60 $want
	tap_check "the peer swallows its packets" wait_for 5 swallowed $((n += 4))
done
capture_end 12 "src host 192.0.2.1 or src host 2001:db8::1 and ip6 proto 50"
tap_is "transport mode, IPv6: the SA's addresses, next header 59" \
	"$(tests/net/dummies.py "$XI_TMP/wan-br.pcap" 0x2001 "$(sa_key 21)" | cut -d' ' -f2- | sort | uniq -c | xargs)" "4 96 59 60"
tap_is "transport mode, IPv4: likewise" \
	"$(tests/net/dummies.py "$XI_TMP/wan-br.pcap" 0x2002 "$(sa_key 22)" | cut -d' ' -f2- | sort | uniq -c | xargs)" "4 96 59 60"
tap_is "in UDP" "$(pcap_count "$XI_TMP/wan-br.pcap" 'src host 192.0.2.1 and udp src port 4500 and dst port 4500')" 4
tap_is "and it has dropped nothing" "$(drops gw2)" "$drops_before"

tap_check "a hard limit holds" refused "3 of 10 dummy packets sent" -n 10 0x2005
tap_is "and the SA is gone then" "$(sa gw1 0x2005 .spi)" ""
tap_check "AH has none" refused "they are ESP's" 0x2004
tap_check "an unknown SPI" refused "no SA of this SPI" 0x7777
tap_check "another destination" refused "no SA of this SPI" $spi 192.0.2.3
tap_check "an inbound SA" refused "it is inbound" 0x1002
gwctl gw1 xipsec xfrm state allocspi src 192.0.2.1 dst 192.0.2.2 proto esp reqid 6 mode tunnel min 0x2006 max 0x2006 > /dev/null
tap_check "a larval SA" refused "larval" 0x2006
load_lines gw1 <<< "xfrm policy add src 10.8.1.1/32 dst 10.8.2.1/32 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 2 mode transport tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid $((spi)) mode tunnel"
tap_check "an SA that another one goes around" refused "another SA around" 0x2002
load_lines gw1 <<< "xfrm state add src 192.0.2.1 dst 192.0.2.254 proto esp spi $spi reqid 7 mode tunnel aead rfc4106(gcm(aes)) $(sa_key 27) 128"
tap_check "an SPI of several SAs" refused "name the destination" $spi
tap_check "named" dummy $spi $dst
oseq=$(sa gw1 0x2003 .oseq)
for words in "-n 0 0x2003" "-n 1001 0x2003" "-n -1 0x2003"; do
	# shellcheck disable=SC2086
	tap_check "a count that is none: $words" refused "from 1 to 1000" $words
done
tap_check "a size that is none" refused "number of bytes" -s 65536 0x2003
tap_check "an SPI that is none" refused "no SPI" zwei
tap_check "an address that is none" refused "no IP address" 0x2003 gw2
for words in "" "-n" "-n x 0x2003" "-s 1x 0x2003" "0x2003 192.0.2.2 more" "-q 0x2003"; do
	# shellcheck disable=SC2086
	tap_check "misused: dummy $words" misused $words
done
tap_is "none of that has sent anything" "$(sa gw1 0x2003 .oseq)" "$oseq"
net_in gw1 ip route add unreachable 198.51.100.0/24
load_lines gw1 <<< "xfrm state add src 192.0.2.1 dst 198.51.100.1 proto esp spi 0x2008 reqid 8 mode tunnel aead rfc4106(gcm(aes)) $(sa_key 28) 128"
tap_check "a peer without a route" refused "no route" 0x2008
tap_check "gateway 1 stops cleanly" stop_daemon gw1
tap_check "gateway 2 stops cleanly" stop_daemon gw2
tap_done
