#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The independent peer, against itself: what it says about others can be believed.
#
#   left 192.0.2.11, 2001:db8::11 === wan === right 192.0.2.12, 2001:db8::12
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool tcpdump jq
/usr/bin/python3 -c 'import scapy, cryptography' 2> /dev/null ||
	tap_skip_all "python3-scapy is not installed; run make deps"
. tests/lib/netns.sh

key1=000102030405060708090a0b0c0d0e0f10111213
key2=202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40414243

# sized_keys CRYPT AUTH: key1 and key2 as long as these want them
sized_keys() {
	declare -A bytes=([CHACHA20-POLY1305]=36 [NULL]=0 [AES-CTR]=20 [AES-CCM]=19 [AES-CMAC-96]=16 [SHA2-256-128]=32)
	local n=$((${bytes[$1]} + ${bytes[$2]:-0})) long
	long=$(sha512sum <<< "$1 $2")
	key1=${long:0:n * 2} long=$(sha512sum <<< "$long")
	key2=${long:0:n * 2}
}

# sas LOCAL REMOTE first|second [OPTION...]: the options of one end
sas() {
	echo "--local $1 --remote $2 ${*:4}"
	if [ "$3" = first ]; then
		echo "--spi-in 0x1001 --key-in $key1 --spi-out 0x2002 --key-out $key2"
	else
		echo "--spi-in 0x2002 --key-in $key2 --spi-out 0x1001 --key-out $key1"
	fi
}

# start_answer OUTER-LEFT OUTER-RIGHT OPTION...
start_answer() {
	local ready=$XI_TMP/ready left=$1 right=$2
	shift 2
	rm -f "$ready"
	# shellcheck disable=SC2046
	net_bg answer right tests/interop/esp_peer.py answer $(sas "$right" "$left" second) \
		--dev eth0 --ready "$ready" "$@"
	wait_for 20 test -e "$ready"
}

stop_answer() {
	kill "${xi_pids["bg answer"]}"
	wait "${xi_pids["bg answer"]}"
}

# send OUTER-LEFT OUTER-RIGHT INNER-LEFT INNER-RIGHT PLAN OPTION...: what was answered, a digit a
# step
send() {
	local left=$1 right=$2 src=$3 dst=$4 plan=$5
	shift 5
	# shellcheck disable=SC2046
	net_in left tests/interop/esp_peer.py send $(sas "$left" "$right" first) --dev eth0 \
		--inner-src "$src" --inner-dst "$dst" --plan "$plan" "$@" > "$XI_TMP/send.json"
	jq -r .answered "$XI_TMP/send.json"
}

# check SAS-ARG...: the capture: good and bad ICVs, unknown SPIs, IVs and sequence numbers that
# came twice
check() {
	# shellcheck disable=SC2046
	tests/interop/esp_peer.py check $(sas "$@") --pcap "$XI_TMP/wan-left.pcap" |
		jq -c '[.icv_good, .icv_bad, .unknown_spi, .iv_reused, .seq_reused]'
}

v4l=192.0.2.11 v4r=192.0.2.12 v6l=2001:db8::11 v6r=2001:db8::12
tap_check "two ends on one wire" eval 'net_up wan && net_add left right &&
	net_plug left eth0 $v4l/24 $v6l/64 && net_plug right eth0 $v4r/24 $v6r/64' || tap_done

capture_start wan left
start_answer $v4l $v4r
tap_is "IPv4: good packets are answered, bad ones are not" \
	"$(send $v4l $v4r 10.1.1.2 10.1.2.2 \
		ok,big:1300,tampered,tampered-data,tampered-seq,unknown-spi,replayed,short,ok,dummy)" \
	1100000010
stop_answer
tap_is "the answering end counts each kind" \
	"$(jq -c '[.answered, .icv_bad, .unknown_spi, .replayed, .inner_bad]' "$XI_TMP/answer.log")" \
	"[3,4,1,1,0]"
tap_is "the outer header is reported" "$(jq -c '.outer[0] | [.src, .seq]' "$XI_TMP/answer.log")" \
	"[\"$v4l\",1]"
tap_check "the capture is complete" capture_stop wan left
tap_is "the capture's ICVs and IVs are judged" "$(check $v4l $v4r first)" "[8,4,1,1,2]"
tap_is "another key fits no packet" "$(key1=${key1/00/ff} key2=${key2/20/ff} check $v4l $v4r first)" \
	"[0,12,1,1,2]"

capture_start wan left
start_answer $v4l $v4r --esn --seq 0xfffffffe
tap_is "ESN: out of order and across 2^32" "$(send $v4l $v4r 10.1.1.2 10.1.2.2 \
	ok,hold,skip:3,ok,late,replayed,old:1,ok --esn --seq 0xfffffffe)" 10011011
stop_answer
capture_stop wan left
tap_is "ESN: the capture is verified across 2^32" \
	"$(check $v4l $v4r first --esn --seq 0xfffffffe)" "[11,0,0,1,1]"

for outer in "$v4l $v4r" "$v6l $v6r"; do
	for inner in "10.1.1.2 10.1.2.2" "fd00:1::2 fd00:2::2"; do
		[ "$outer$inner" != "$v4l $v4r10.1.1.2 10.1.2.2" ] || continue
		# shellcheck disable=SC2086
		start_answer $outer --esn
		# shellcheck disable=SC2086
		tap_is "$inner inside $outer" "$(send $outer $inner ok,tampered,big:1000 --esn)" 101
		stop_answer
	done
done
# other ciphers, and UDP
for opts in "--crypt CHACHA20-POLY1305 --encap 4500:4500" "--crypt NULL --auth AES-CMAC-96" \
	"--crypt AES-CTR --auth SHA2-256-128 --esn" "--crypt AES-CCM --encap 4500:4500"; do
	read -ra words <<< "$opts"
	sized_keys "${words[1]}" "${words[3]}"
	start_answer $v4l $v4r "${words[@]}"
	tap_is "$opts" "$(send $v4l $v4r 10.1.1.2 10.1.2.2 \
		ok,tampered,big:1000,tampered-data,tampered-seq,short,ok "${words[@]}")" 1010001
	stop_answer
done
tap_is "no ICMP error disturbed the peer" "$(jq .icmp_errors "$XI_TMP/send.json")" 0
tap_done
