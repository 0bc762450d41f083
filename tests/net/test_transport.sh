#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Host to host in transport mode, with no route that knows of it: what policy protects is redirected where it would leave.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/pair.sh
need_root
need_tools tcpdump ping jq nc

net_up gw1 gw2 wan || tap_skip_all "cannot make network namespaces"
for gw in gw1 gw2; do
	# GSO, and checksums left to the device, as a host's stack has them
	net_in $gw ethtool -K wan0 tx on tso on gso on > /dev/null
	tap_check "$gw starts" start_daemon $gw || tap_done
done


# both_ways ALGORITHMS BASE A B ANY: SAs and policies for all that A, which is gw1, and B say to each other
both_ways() {
	local algs=$1 base=$2 a=$3 b=$4 n
	for n in 1 2; do
		pair_state $a $b $((base + n)) "$algs" reqid $((base)) mode transport replay-window 64
		echo "$n src $a dst $b tmpl src $5 dst $5 proto ${algs%% *} reqid $((base)) mode transport"
		read -r b a <<< "$a $b"
	done
}
set_both() {
	pair_flush && {
		both_ways "$1" 0x1000 192.0.2.1 192.0.2.2 0.0.0.0
		both_ways "$1" 0x2000 2001:db8::1 2001:db8::2 ::
	} | pair_load
}
# what is neither protected nor of the link itself
in_clear() {
	pcap_count "$1" "not (proto 50 or proto 51 or ip6 proto 50 or ip6 proto 51 or $XI_LINK_FILTER)"
}

lost() {
	echo $(($(drops "$1") - $(reason "$1" too_big)))
}

for name in GCM CBC AH; do
	tap_check "$name: SAs and policies" set_both "${!name}"
	XI_SNAPLEN=96 capture_start wan br
	for family in 4 6; do
		a=192.0.2.1 b=192.0.2.2
		[ $family = 4 ] || a=2001:db8::1 b=2001:db8::2
		tap_check "$name, IPv$family: ping" pings gw1 $b 20
		tap_check "$name, IPv$family: ping the other way" pings gw2 $a 20 -s 1400
		tap_check "$name, IPv$family: TCP" tcp_to gw1 gw2 $b
		serve_udp udp gw2 7001 $b
		send_udp gw1 $b 7001 "by $name IPv$family"
		tap_check "$name, IPv$family: UDP" wait_for 5 grep -q "by $name" "$XI_TMP/udp.log"
		kill "${xi_pids["bg udp"]}"
	done
	tap_check "$name: TCP the other way" tcp_to gw2 gw1 192.0.2.1
	capture_stop wan br
	tap_is "$name: packets in clear on the wire" "$(in_clear "$XI_TMP/wan-br.pcap")" 0
	tap_is "$name: nothing was dropped but what tells a sender the path MTU" "$(lost gw1) $(lost gw2)" "0 0"
done

# fail-closed
set_both "$GCM"
capture_start wan br
net_bg flood gw1 ping -q -i 0.001 -c 60000 -W 1 192.0.2.2
tap_check "traffic, and the daemon is killed in it" kill_daemon gw1
tap_check "nothing passes then" no_ping gw1 192.0.2.2
tap_check "nothing of IPv6 either" no_ping gw1 2001:db8::2
tap_check "nor what comes from the peer" no_ping gw2 192.0.2.1
tap_check "start again" start_daemon gw1 "$XI_TMP/gw1.conf"
tap_check "it goes on" pings gw1 192.0.2.2 20
tap_check "over IPv6 too" pings gw1 2001:db8::2 20
kill "${xi_pids["bg flood"]}"
capture_stop wan br
tap_check "there was traffic on the wire" test "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50')" -gt 100
tap_is "packets in clear on the wire in all that time" "$(in_clear "$XI_TMP/wan-br.pcap")" 0

# wide selectors: gw2 is two peers, a third one has no SA
net_add gw3 && net_plug gw3 p3 192.0.2.3/24 2001:db8::3/64
net_addr gw2 wan0 192.0.2.22/24
wide_lines() {
	local n=0 a
	for a in 192.0.2.2 192.0.2.22; do
		pair_state 192.0.2.1 $a $((0x3001 + n)) "$GCM" reqid 7 mode transport
		pair_state $a 192.0.2.1 $((0x3011 + n++)) "$GCM" reqid 7 mode transport
	done
	for n in 1 2; do
		echo "$n src 0.0.0.0/0 dst 0.0.0.0/0 proto udp tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 7 mode transport"
	done
}
set_wide() {
	pair_flush && wide_lines | pair_load
}
spi_is() {
	[ "$(gwip "$1" ip -s xfrm state | sa_packets "$2")" = "$3" ]
}
tap_check "one policy of all addresses for UDP" set_wide
serve_udp udp gw2 7001
serve_udp udp3 gw3 7001
monitor_start gw1
capture_start wan br
for i in 1 2 3; do
	send_udp gw1 192.0.2.2 7001 "to .2 n$i"
	send_udp gw1 192.0.2.22 7001 "to .22 n$i"
done
tap_check "of a flow under policy not even the first packet is lost" \
	wait_for 5 eval '[ "$(grep -c "to .2 n" "$XI_TMP/udp.log") $(grep -c "to .22 n" "$XI_TMP/udp.log")" = "3 3" ]'
tap_check "the SA of the one peer" wait_for 5 spi_is gw1 0x3001 3
tap_check "and that of the other" wait_for 5 spi_is gw1 0x3002 3
tap_check "to a peer without SA nothing goes" more gw1 held 1 send_udp gw1 192.0.2.3 7001 "to .3"
tap_check "the key manager is asked for one" \
	wait_for 5 eval 'grep -A 3 "^acquire" "$XI_TMP/monitor-gw1.log" | grep "sel src 192.0.2.1/32 dst 192.0.2.3/32 proto udp"'
tap_check "what is no matter of policy is as before" pings gw1 192.0.2.3 10
tap_check "to the peers with SAs, too" pings gw1 192.0.2.2 10
pair_state 192.0.2.1 192.0.2.3 0x3003 "$GCM" reqid 7 mode transport > "$XI_TMP/third"
pair_load < "$XI_TMP/third"
tap_check "with an SA it goes" send_udp gw1 192.0.2.3 7001 "to .3"
tap_check "by that one, after the one that has waited" wait_for 5 spi_is gw1 0x3003 2
capture_stop wan br
tap_is "UDP in clear on the wire" "$(pcap_count "$XI_TMP/wan-br.pcap" 'udp port 7001')" 0
tap_is "the third peer got none" "$(grep -c "to .3" "$XI_TMP/udp3.log")" 0

# bypass within what is protected
for gw in gw1 gw2; do
	dir=$([ $gw = gw1 ] && echo out || echo in)
	gwctl $gw xipsec xfrm policy update src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dir $dir priority 10 \
		tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 7 mode transport
	gwctl $gw xipsec xfrm policy add src 192.0.2.0/24 dst 192.0.2.0/24 proto udp dport 7001 dir $dir priority 5
done
capture_start wan br
for i in 1 2 3 4 5; do
	send_udp gw1 192.0.2.2 7001 "bypass $i"
done
tap_check "flows that bypass lose nothing, each from a port of its own" \
	wait_for 5 eval '[ "$(grep -c "bypass [1-5]" "$XI_TMP/udp.log")" = 5 ]'
capture_stop wan br
tap_is "they are on the wire in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" 'udp port 7001')" 5
kill "${xi_pids["bg udp"]}" "${xi_pids["bg udp3"]}"

# the receive record: 02:FS:sa_index
record_lines() {
	local n ends=(192.0.2.1 192.0.2.2)
	pair_state 192.0.2.1 192.0.2.2 0x4001 "$GCM" reqid 4 mode transport limit packet-hard 5
	pair_state 192.0.2.2 192.0.2.1 0x4002 "$GCM" reqid 4 mode transport
	for n in 1 2; do
		echo "$n src ${ends[n - 1]} dst ${ends[2 - n]} tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 4 mode transport"
	done
}
records() {
	pcap_list "$XI_TMP/gw2-xipsec0.pcap" -e "icmp[0] = 8" | awk '{ print $2 }' | xargs
}
pair_flush
record_lines | pair_load
# the sender's own limit is not the matter here
gwctl gw1 xipsec xfrm state update src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x4001 reqid 4 mode transport \
	aead 'rfc4106(gcm(aes))' "$(pair_key 0x4001 160)" 128
handle=$(gwctl gw2 xipsec show -j | jq -r '.sas[] | select(.spi == "0x00004001").handle')
capture_start gw2 xipsec0
for i in 1 2 3 4 5; do
	net_in gw1 ping -q -c 1 -W 1 192.0.2.2 > /dev/null
done
# the pair is gone, so the last one gets no answer
capture_stop gw2 xipsec0
mac=$(sed 's/^0x//; s/../:&/g' <<< "$handle")
tap_is "the receive record: SA and CRYPTO_DONE; with the last packet that the SA takes, SA_DELETE_REQ" "$(records)" \
	"02:10$mac 02:10$mac 02:10$mac 02:10$mac 02:50$mac"

# nine outcomes
TEXT="udp 9 9 x 192.0.2.1 192.0.2.2"
ENDS="ip 192.0.2.1 192.0.2.2"
T=0x5001 U=0x5002 A=0x5003 B=0x5004
nine_lines() {
	pair_state 192.0.2.1 192.0.2.2 $T "$NULL" mode transport replay-window 32
	pair_state 192.0.2.1 192.0.2.2 $U "$NULL" mode tunnel replay-window 32
	pair_state 192.0.2.1 192.0.2.2 $A "$AH" mode transport replay-window 32
	pair_state 192.0.2.1 192.0.2.2 $B "$AH" mode tunnel replay-window 32
}
pair_flush
nine_lines | pair_load
# outcome NAME LINE: one packet, one outcome
outcome() {
	tap_check "outcome $1" more gw2 "crypto_$1" 1 forge wan <<< "$2"
}
kt=$(pair_key $T 160) ku=$(pair_key $U 160) ka=$(pair_key $A 160) kb=$(pair_key $B 160)
outcome success "$TEXT | esp $T 1 $kt | $ENDS"
outcome transport_esp_auth_failed "$TEXT | esp $T 2 $kt bad | $ENDS"
outcome tunnel_esp_auth_failed "$TEXT | $ENDS | esp $U 1 $ku bad | $ENDS"
outcome transport_ah_auth_failed "$TEXT | ah $A 1 $ka bad | $ENDS"
outcome tunnel_ah_auth_failed "$TEXT | $ENDS | ah $B 1 $kb bad | $ENDS"
outcome invalid_packet_syntax "$TEXT | esp $T 3 $kt pad=020304 | $ENDS"
outcome invalid_protocol "$TEXT | $ENDS | esp $U 2 $ku next=17 | $ENDS"
outcome not_done "$TEXT | esp $T 1 $kt | $ENDS"
outcome success "$TEXT | ah $A 2 $ka | $ENDS"

# an engine whose library refuses to work as long as a file is there
cat > "$XI_TMP/refuse.c" <<- END
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <unistd.h>
	int EVP_CIPHER_CTX_ctrl(void *ctx, int type, int arg, void *ptr)
	{
		static int (*next)(void *, int, int, void *);

		if (type == 0x11 && ptr && !access("$XI_TMP/refuse", F_OK)) /* EVP_CTRL_AEAD_SET_TAG */
			return 0;
		if (!next)
			next = dlsym(RTLD_NEXT, "EVP_CIPHER_CTX_ctrl");
		return next(ctx, type, arg, ptr);
	}
END
printf '#!/bin/sh\nLD_PRELOAD=%s exec %s "$@"\n' "$XI_TMP/refuse.so" "$PWD/$XI_DAEMON" > "$XI_TMP/refusing"
chmod +x "$XI_TMP/refusing"
refusing_daemon() {
	local XI_DAEMON=$XI_TMP/refusing
	cc -shared -fPIC -o "$XI_TMP/refuse.so" "$XI_TMP/refuse.c" -ldl && stop_daemon gw2 &&
		sed -i '/^\[daemon\]/a engine = openssl' "$XI_TMP/gw2.conf" && start_daemon gw2 "$XI_TMP/gw2.conf"
}
one_ping() {
	net_in gw1 ping -q -c 1 -W 0.3 192.0.2.2 > /dev/null
	:
}
if command -v cc > /dev/null; then
	tap_check "an engine that can be made to fail" refusing_daemon
	set_both "$GCM"
	tap_check "works, for now" pings gw1 192.0.2.2 3
	touch "$XI_TMP/refuse"
	tap_check "outcome generic_error" more gw2 crypto_generic_error 1 one_ping
	rm "$XI_TMP/refuse"
	tap_check "works again" pings gw1 192.0.2.2 3
else
	tap_skip "outcome generic_error" "no C compiler"
fi
tap_done
