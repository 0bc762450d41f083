#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Programs that know nothing of it, over restarts of the XFRM server that they believe to be the
# kernel: those that ask all the time, from several threads, and those that wait for news, in
# every way in which programs wait. Needs no root.
#
# timeout: 150
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
. tests/lib/tap.sh
. tests/lib/xfrm_server.sh
make -s B="$B" "$B/tests/interop/xfrm_serverd" "$B/tests/interop/preload_requests" \
	"$B/tests/interop/preload_news" "$B/tests/interop/preload_writer" "$B/libxipsec-xfrm.so" >&2 || exit 1
xs_begin

declare -A input pid lost
# client NAME CMD...: its output is in $XS_DIR/NAME
client() {
	local name=$1 fd
	shift
	mkfifo "$XS_DIR/$name.in"
	exec {fd}<> "$XS_DIR/$name.in"
	input[$name]=$fd
	LD_PRELOAD=$XS_PRELOAD "$@" <&"$fd" > "$XS_DIR/$name" 2>&1 &
	pid[$name]=$!
}
is_ready() { grep -q '^ready' "$XS_DIR/$1"; }
# end NAME: tells it to end, and waits for it
end() {
	echo >&"${input[$1]}"
	wait "${pid[$1]}"
}
value() { sed -n "s/^$2 //p" "$XS_DIR/$1"; }

echo "# requests all the time, a restart every now and then"
xs_start
client requests "$B/tests/interop/preload_requests" 4
tap_check "the program runs" wait_for 20 is_ready requests
for ((i = 0; i < 100; i++)); do
	xs_stop
	((i % 3)) || read -r -t 0.25 -u "$tap_pause"
	xs_start
	((i % 5)) || read -r -t 0.25 -u "$tap_pause"
done
wait_for 1 false
tap_check "100 restarts: every request is answered or refused, and no thread stands" end requests
tap_comment "$(grep -v ready "$XS_DIR/requests")"
tap_is "no descriptor is lost or left over" "$(value requests left-over)" 0
tap_check "many are answered" test "$(value requests answered)" -gt 1000
tap_check "some have met no server" test "$(($(value requests refused) + $(value requests failed)))" -gt 20

echo "# the same under ThreadSanitizer, which finds what threads do not agree on"
if make -s B="$B" "$B/tests/interop/preload_tsan" > "$XS_DIR/make" 2>&1 && setarch -R true 2> /dev/null; then
	XS_PRELOAD='' client tsan setarch -R "$B/tests/interop/preload_tsan" 4
	tap_check "the program runs" wait_for 20 is_ready tsan
	for ((i = 0; i < 10; i++)); do
		read -r -t 0.3 -u "$tap_pause"
		xs_stop
		xs_start
	done
	wait_for 1 false
	tap_check "10 restarts" end tsan
	tap_is "no race" "$(grep -A 12 "WARNING: ThreadSanitizer" "$XS_DIR/tsan")" ""
	tap_check "many are answered" test "$(value tsan answered)" -gt 100
	tap_is "no descriptor is lost or left over" "$(value tsan left-over)" 0
else
	tap_skip "races of threads" "this compiler has no ThreadSanitizer"
fi

echo "# news"
ways="poll block level edge libevent"
has_news() { [ "$(grep -c "^news $2" "$XS_DIR/$1")" -ge "$3" ]; }
has_lost() { [ "$(grep -c '^lost' "$XS_DIR/$1")" -gt "${2:-0}" ]; }
for way in $ways; do
	client "$way" "$B/tests/interop/preload_news" "$way"
	wait_for 20 is_ready "$way"
done
xs_add 0x1000
for way in $ways; do tap_check "$way: reads news" wait_for 10 has_news "$way" 16 1; done
for round in 2 3; do
	for way in $ways; do lost[$way]=$(grep -c '^lost' "$XS_DIR/$way"); done
	xs_stop
	wait_for 2 false # the programs look again and again meanwhile
	xs_start
	for way in $ways; do tap_check "$way: is told that news were lost" wait_for 10 has_lost "$way" "${lost[$way]}"; done
	xs_add $((0x1000 + round))
	for way in $ways; do
		tap_check "$way: reads news of the server after restart $((round - 1))" \
			wait_for 10 has_news "$way" 16 $round
	done
done
for way in $ways; do
	tap_check "$way: ends well" end "$way"
	woken=$(value "$way" woken)
	tap_check "$way: did not spin (it came $woken times)" test "$woken" -lt 60
done

echo "# who waits until a request is taken"
ways="poll ppoll select pselect level out oneshot"
has_said() { [ "$(grep -cx "$2" "$XS_DIR/$1")" = "$3" ]; }
for way in $ways; do
	client "$way" "$B/tests/interop/preload_writer" "$way"
	tap_check "$way: has answers" wait_for 20 has_said "$way" answered 1
done
for round in 1 2; do
	xs_stop
	for way in $ways; do
		tap_check "$way: is refused while there is no server" wait_for 10 has_said "$way" refused $round
	done
	xs_start
	for way in $ways; do
		tap_check "$way: has answers after restart $round" wait_for 10 has_said "$way" answered $((round + 1))
	done
done
for way in $ways; do
	end "$way"
	tap_is "$way: said nothing else" "$(grep -vxc 'ready\|answered\|refused' "$XS_DIR/$way")" 0
done

tap_done
