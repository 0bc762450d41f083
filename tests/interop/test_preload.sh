#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The preload library under programs that are not ours: the same calls as on the kernel's XFRM socket, beside
# it; processes and descriptors; libnl, Python, ip; what it costs others; `xipsec run`. Needs no root.
#
# timeout: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
[[ $B == /* ]] || B=$PWD/$B
. tests/lib/tap.sh
. tests/lib/xfrm_server.sh
T=$B/tests/interop
make -s B="$B" "$T/xfrm_serverd" "$T/preload_names" "$T/preload_process" "$T/preload_others" "$T/preload_libnl" \
	"$B/libxipsec-xfrm.so" "$B/xipsec" >&2 || exit 1
xs_begin
has() { [[ $1 == *"$2"* ]]; }
tap_has() { if has "$2" "$3"; then tap_ok "$1"; else tap_not_ok "$1" "no \"$3\" in: $2"; fi; }

echo "# calls"
xs_start
xs_preloaded "$T/preload_names" > "$XS_DIR/ours" 2>&1
if unshare -Urn "$T/preload_names" > "$XS_DIR/kernel" 2>&1; then
	tap_is "$(wc -l < "$XS_DIR/kernel") answers to socket calls are the kernel's" \
		"$(diff "$XS_DIR/kernel" "$XS_DIR/ours")" ""
	tap_check "which are more than a few" test "$(wc -l < "$XS_DIR/ours")" -gt 120
else
	tap_skip "answers to socket calls are the kernel's" "no user namespace or no XFRM in this kernel"
fi

echo "# processes"
xs_preloaded "$T/preload_process" > "$XS_DIR/process" 2>&1
while read -r result _ _ what; do
	if [ "$result" = ok ]; then tap_ok "$what"; else tap_not_ok "${what#- }"; fi
done < <(grep "ok " "$XS_DIR/process")
tap_has "all of it ran" "$(< "$XS_DIR/process")" "1..16"

echo "# other descriptors"
calls() { strace -f -e trace='!mmap,brk' -o "$XS_DIR/$1" "${@:2}" && sed -n 's/^[0-9]* *//; /dup(-7)/,$p' "$XS_DIR/$1" |
	sed 's/0x[0-9a-f]*/P/g; s/nl_pid=[-0-9]*/nl_pid=N/'; }
if strace -o /dev/null true 2> /dev/null; then
	calls without "$T/preload_others" > "$XS_DIR/without.calls"
	calls with -E LD_PRELOAD="$XS_PRELOAD" "$T/preload_others" > "$XS_DIR/with.calls"
	tap_check "$(wc -l < "$XS_DIR/without.calls") system calls are traced" \
		test "$(wc -l < "$XS_DIR/without.calls")" -gt 45
	tap_is "and are the same with the library" "$(diff "$XS_DIR/without.calls" "$XS_DIR/with.calls")" ""
else
	tap_skip "system calls are the same with the library" "strace may not trace here"
fi

xs_preloaded ip xfrm state flush # an SPI that was allocated waits for its SA
echo "# libnl, Python"
sa=$(printf 'connect: ok\nadd: ok\nread: ok\nsa abcd reqid 9 rfc4106(gcm(aes)) 160 128\n')
tap_is "libnl-xfrm adds, reads and deletes" "$(xs_preloaded "$T/preload_libnl" 2>&1)" "$sa
delete: ok
delete again: Object not found
read: ok"
tap_is "Python" "$(xs_preloaded python3 tests/interop/preload_raw.py 2>&1)" "family True protocol 6
bound True 0
answer True from (0, 0)
dump ends
nothing more
answer is there True
groups 4
credentials [(0, 0, 0)] 0
ready to send True
by number True 6
to nobody ECONNREFUSED"

echo "# ip"
monitor() {
	xs_preloaded ip -ts xfrm monitor > "$XS_DIR/monitor" 2>&1 &
	wait_for 10 xs_listened 0x4
}
seen() { grep -q "$1" "$XS_DIR/monitor"; }
monitor
xs_add 0x1000
tap_check "ip -ts monitor" wait_for 10 seen "proto esp spi 0x00001000"
tap_check "with timestamps" wait_for 10 seen "^\[20[0-9-]*T[0-9:.]*\]"
for ((i = 0; i < 300; i++)); do
	printf 'xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi %d mode tunnel aead rfc4106(gcm(aes)) %s 128\n' \
		$((0x2000 + i)) "$(printf '0x%08x05060708090a0b0c0d0e0f1011121314' $((0x2000 + i)))"
done > "$XS_DIR/batch"
tap_is "ip -batch" "$(xs_preloaded ip -batch "$XS_DIR/batch" 2>&1; xs_preloaded ip xfrm state count)" "	 SAD count 301"

echo "# network namespaces"
if [ "$(id -u)" = 0 ] && ip netns add xi-pre-$$ 2> /dev/null; then
	trap 'ip netns del xi-pre-$$; xs_end' EXIT
	in_ns() { XIPSEC_XFRM_SOCK='' xs_preloaded ip -n xi-pre-$$ xfrm "$@" 2>&1; }
	tap_has "ip -n NS, where no server is" "$(in_ns state count)" "Protocol not supported"
	mkdir "$XS_DIR/ns"
	mkfifo "$XS_DIR/ns/in"
	exec {ns_in}<> "$XS_DIR/ns/in"
	XIPSEC_XFRM_SOCK='' nsenter --net=/run/netns/xi-pre-$$ "$T/xfrm_serverd" "$XS_DIR/ns" <&"$ns_in" > "$XS_DIR/ns/out" &
	ns_ready() { grep -q ready "$XS_DIR/ns/out"; }
	wait_for 10 ns_ready
	tap_is "ip -n NS, where one is" "$(in_ns state count)" "	 SAD count 0"
	tap_is "which is not this one" "$(xs_preloaded ip xfrm state count)" "	 SAD count 301"
else
	tap_skip "ip -n NS" "needs root and network namespaces"
fi

echo "# xipsec run"
run() { "$B/xipsec" run "$@" 2>&1; }
status() {
	"$B/xipsec" run "$@" > /dev/null 2>&1
	echo $?
}
tap_is "runs a program" "$(run -- ip xfrm state count)" "	 SAD count 301"
tap_is "with its exit status" "$(status -- sh -c 'exit 42')" 42
tap_is "and its name" "$(cd /bin && "$B/xipsec" run sh -c 'tr "\0" " " < /proc/$$/cmdline | cut -d" " -f1')" sh
tap_is "before what is preloaded already" "$(LD_PRELOAD=/none.so run sh -c 'echo $LD_PRELOAD' 2>&1 | tail -1)" \
	"$XS_PRELOAD:/none.so"
tap_is "once" "$(run "$B/xipsec" run sh -c 'echo $LD_PRELOAD')" "$XS_PRELOAD"
tap_is "not found" "$(status no-such-program)" 127
tap_is "not executable" "$(status /etc/passwd)" 126
tap_is "no program" "$(status --)" 2
tap_is "no library" "$(XIPSEC_PRELOAD=/none status true)" 125
tap_has "no library, in words" "$(XIPSEC_PRELOAD=/none run true)" "/none: the library that XIPSEC_PRELOAD names cannot be read: correct or unset it"
echo 'int main(void) { return 0; }' > "$XS_DIR/static.c"
cc -static -o "$XS_DIR/static" "$XS_DIR/static.c"
tap_has "a static program" "$(run "$XS_DIR/static")" "is linked statically, so the preload library is ignored"
if [ "$(id -u)" = 0 ]; then
	install -m 4755 -o nobody "$(type -P true)" "$XS_DIR/setuid"
	tap_has "a setuid program" "$(run "$XS_DIR/setuid")" "it is setuid, so the preload library is ignored"
else
	tap_skip "a setuid program" "needs root to make one"
fi
tap_is "nothing is said of others" "$(run true)" ""
xs_stop
tap_has "the daemon may come later" "$(run sh -c 'echo runs')" "runs"
tap_has "but it is said" "$(run true)" "warning: xipsecd is not running in this network namespace"

echo "# units"
make -s B="$B" DESTDIR="$XS_DIR/root" PREFIX=/opt/x install > /dev/null 2>&1 ||
	tap_not_ok "make install"
units=$XS_DIR/root/opt/x/share/xipsec/systemd
tap_is "drop-ins are installed" "$(cd "$units" && echo */xipsec.conf)" \
	"ipsec.service.d/xipsec.conf strongswan-starter.service.d/xipsec.conf strongswan.service.d/xipsec.conf"
tap_is "with the library's place" "$(grep -ho '=/.*\.so' "$units"/*/xipsec.conf | sort -u)" "=/opt/x/lib/xipsec/libxipsec-xfrm.so"
tap_check "which is there" test -r "$XS_DIR/root/opt/x/lib/xipsec/libxipsec-xfrm.so"
tap_has "the installed tool finds it" "$(env -u XIPSEC_PRELOAD "$XS_DIR/root/opt/x/sbin/xipsec" run sh -c 'echo $LD_PRELOAD' 2>&1)" \
	"lib/xipsec/libxipsec-xfrm.so"
if command -v systemd-analyze > /dev/null; then
	for unit in strongswan strongswan-starter ipsec; do
		mkdir -p "$XS_DIR/units/$unit.service.d"
		printf '[Service]\nExecStart=/bin/true\n' > "$XS_DIR/units/$unit.service"
		cp "$units/$unit.service.d/xipsec.conf" "$XS_DIR/units/$unit.service.d/"
	done
	sed 's|/usr/sbin/xipsecd|/bin/true|' dist/xipsec.service > "$XS_DIR/units/xipsec.service"
	for unit in strongswan strongswan-starter ipsec; do
		said=$(SYSTEMD_UNIT_PATH=$XS_DIR/units: systemd-analyze verify --man=no "$XS_DIR/units/$unit.service" 2>&1 |
			grep -F "$XS_DIR/units")
		tap_is "systemd takes $unit.service with it" "$said" ""
	done
else
	tap_skip "systemd takes the drop-ins" "systemd-analyze is not installed"
fi
tap_done
