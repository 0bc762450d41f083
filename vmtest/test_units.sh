#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 600
# boot: systemd
# shellcheck disable=SC2016
#
# What an operator installs: the package, its unit with all it takes from the daemon, the drop-ins of IKE daemons and their
# AppArmor profiles, under systemd.
#
#   lan (a namespace) --- lan0 [this machine: xipsecd, an IKE daemon] wan0 === peer (a namespace: charon, the kernel's ESP)
#   10.1.1.2              10.1.1.1                           192.0.2.1         192.0.2.2, 10.1.2.1
if [ -z "${VMTEST:-}" ]; then
	cd "$(dirname "$0")/.." || exit 1
	vmtest/get_units || exit
	exec vmtest/vmrun -s -t 600 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
. vmtest/common.sh

units=$VM_CACHE/units
deb=$(echo "$units"/xipsec_*.deb)
[ -e "$deb" ] || { tap_not_ok "make deb" "vmtest/get_units says why"; tap_done; }
for package in strongswan-starter strongswan-charon libreswan; do
	[ -e "$(echo "$units/$package"_*.deb)" ] || tap_skip_all "the package $package could not be had (vmtest/get_units)"
done
[ -x /lib/systemd/systemd ] && [ -x /sbin/apparmor_parser ] && [ -x /usr/sbin/charon-systemd ] ||
	tap_skip_all "systemd, AppArmor's tools or strongSwan are not installed; run make deps"
stamp() {
	local up
	read -r up _ < /proc/uptime
	echo "# $up s: $*"
}

# dpkg would read what files the host's packages have, half a minute here: it knows of those that ours depends on
dpkg_know() {
	local depends
	depends=$(dpkg-deb -f "$1" Depends | sed 's/([^)]*)//g; s/[,|]/ /g')
	awk -v RS= -v ORS='\n\n' -v want=" $depends " 'index(want, " " $2 " ")' /var/lib/dpkg/status > /tmp/status
	cp /tmp/status /var/lib/dpkg/status
	: > /var/lib/dpkg/triggers/File
	rm -f /usr/sbin/policy-rc.d
}

main_pid() { systemctl show -P MainPID "$1"; }
active() { [ "$(systemctl show -P ActiveState "$1")" = active ]; }
state_is() { [ "$(systemctl show -P ActiveState "$1")" = "$2" ]; }
# start UNIT: it is up, or its journal is shown
start() {
	systemctl start "$1" && active "$1" && return
	journalctl -u "$1" --no-pager -o cat | tail -n 30
	return 1
}
journal_has() { journalctl -u "$1" --no-pager -o cat | grep -qE -- "$2"; }
# confined UNIT|PID: how AppArmor says that it confines it
confined() { cat "/proc/$1/attr/current"; }
status_of() { sed -n "s/^$2:\t//p" "/proc/$(main_pid "$1")/status"; }
our_sas() { xipsec show -j | jq '.sas | length'; }
in_ns() { nsenter --net="/run/netns/$1" "${@:2}"; }
sysctl_is() { [ "$(< "/proc/sys/$1")" = "$2" ]; }

ports() {
	ip netns add peer && ip netns add lan && ip link add wan0 type veth peer name wan0 netns peer &&
		ip link add lan0 type veth peer name lan0 netns lan &&
		ip addr add 192.0.2.1/24 dev wan0 && ip addr add 10.1.1.1/24 dev lan0 && ip link set wan0 up &&
		ip link set lan0 up && ip -n peer link set lo up && ip -n peer addr add 10.1.2.1/24 dev lo &&
		ip -n peer addr add 192.0.2.2/24 dev wan0 && ip -n peer link set wan0 up && ip -n lan link set lo up &&
		ip -n lan addr add 10.1.1.2/24 dev lan0 && ip -n lan link set lan0 up &&
		ip -n lan route add default via 10.1.1.1 && ip -n peer route add 10.1.1.0/24 via 192.0.2.1 &&
		echo 1 > /proc/sys/net/ipv4/ip_forward
}

conf() {
	{
		printf '[daemon]\n'
		printf '%s\n' "$@"
		printf '[port wan0]\nrole = cipher\n[port lan0]\nrole = plain\n'
	} > /etc/xipsec/xipsec.conf
}

# peer_start: charon in the namespace, on the kernel's own XFRM; at another place than AppArmor's profile is for
peer_start() {
	local dir=/tmp/peer
	mkdir -p $dir/bin $dir/swanctl/{x509{,ca,ocsp,aa,ac,crl},pubkey,private,rsa,ecdsa,bliss,pkcs8,pkcs12}
	cp /usr/sbin/charon-systemd /usr/sbin/swanctl $dir/bin/
	cat > $dir/strongswan.conf <<- END
		charon-systemd {
			load = random nonce openssl kdf pem pkcs1 pubkey kernel-netlink socket-default vici
			install_routes = no
			journal { default = -1 }
			filelog { log { path = $dir/log
			                flush_line = yes } }
			plugins { vici { socket = unix://$dir/vici } }
		}
	END
	cat > $dir/swanctl/swanctl.conf <<- END
		connections { office { local_addrs = 192.0.2.2
		                       version = 2
		                       mobike = no
		                       local { auth = psk
		                               id = gw2 }
		                       remote { auth = psk
		                                id = gw1 }
		                       children { lan { local_ts = 10.1.2.0/24
		                                        remote_ts = 10.1.1.0/24
		                                        esp_proposals = aes128gcm16-esn } } } }
		secrets { ike-office { secret = "the same at both ends" } }
	END
	STRONGSWAN_CONF=$dir/strongswan.conf in_ns peer $dir/bin/charon-systemd > $dir/out 2>&1 &
	wait_for 30 peer_swanctl --stats && peer_swanctl --load-all
}
peer_swanctl() {
	STRONGSWAN_CONF=/tmp/peer/strongswan.conf SWANCTL_DIR=/tmp/peer/swanctl in_ns peer /tmp/peer/bin/swanctl "$@" \
		--uri unix:///tmp/peer/vici
}

# as `make install PREFIX=$1` has it
prefix() {
	mkdir -p "$1/lib" && cp -r /usr/lib/xipsec "$1/lib/"
}
# drop_in UNIT PREFIX
drop_in() {
	mkdir -p "/etc/systemd/system/$1.service.d"
	sed "s|/usr/lib/xipsec|$2/lib/xipsec|g" "/usr/share/xipsec/systemd/$1.service.d/xipsec.conf" \
		> "/etc/systemd/system/$1.service.d/xipsec.conf"
	systemctl daemon-reload
}
# unpack PACKAGE: its files; /lib stays the link that it is
unpack() { dpkg-deb --fsys-tarfile "$units/$1"_*.deb | tar -x --keep-directory-symlink -C /; }
# allow PROFILE PREFIX: as xipsec(8) says
allow() {
	sed "s|/usr/lib/xipsec|$2/lib/xipsec|g" "/usr/share/xipsec/apparmor/$1" >> "/etc/apparmor.d/local/$1"
}
# packets of the peer's SAs, the kernel's: all have been ESP
peer_packets() { ip -n peer -s xfrm state | sed -n 's/.*), \([0-9]*\)(packets).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
# carried N: N pings between the networks, and the peer's kernel took as many both ways
carried() {
	local before
	before=$(peer_packets)
	in_ns lan ping -q -c "$1" -i 0.2 -W 20 10.1.2.1 | grep ' 0% packet loss' || return 1
	[ $(($(peer_packets) - before)) = $(($1 * 2)) ] && return
	echo "the peer's SAs: $before packets, then $(peer_packets)"
	return 1
}
# restarted UNIT PID: another process is ready; asked in this order, as systemd learns of an end a moment after it
restarted() {
	local pid
	pid=$(main_pid "$1")
	[ "$pid" != 0 ] && [ "$pid" != "$2" ] && active "$1"
}

modprobe -a esp4 xfrm_user gcm veth

stamp "package"
dpkg_know "$deb"
stamp known
tap_check "dpkg -i" dpkg --force-unsafe-io -i "$deb"
stamp installed
tap_is "the unit is enabled" "$(systemctl is-enabled xipsec)" enabled
tap_is "and does nothing without a configuration" "$(systemctl show -P ActiveState -P ConditionResult xipsec)" $'inactive\nno'
tap_check "the group is there" getent group xipsec
tap_check "systemd finds no fault in the unit" eval '! systemd-analyze verify xipsec.service 2>&1 | grep xipsec'
stamp "start"
ports || tap_not_ok "ports"
kernel_sa() {
	ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x2001 reqid 2 mode tunnel \
		aead 'rfc4106(gcm(aes))' 0x100102030405060708090a0b0c0d0e0f10111213 128
}
install -m 600 /dev/stdin /etc/xipsec/sas <<- END
	xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 reqid 1 mode tunnel aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128
END
conf "sas = /etc/xipsec/sas" "mirror = yes"
mkdir -p /run/systemd/system/xipsec.service.d
printf '[Service]\nRestart=no\n' > /run/systemd/system/xipsec.service.d/once.conf
systemctl daemon-reload
tap_check "systemctl start xipsec" start xipsec || tap_done
tap_check "xipsec show" xipsec show
tap_check "and for a member of the group" setpriv --reuid=65534 --regid=xipsec --clear-groups xipsec show
tap_check "not for anybody else" eval '! setpriv --reuid=65534 --regid=65534 --clear-groups xipsec show'
tap_is "an SA of a file is there" "$(our_sas)" 1
tap_is "and its numbers are reserved on disk" "$(find /var/lib/xipsec -type f | wc -l)" 1
# <linux/capability.h>: 0 CHOWN, 12 NET_ADMIN, 13 NET_RAW, 14 IPC_LOCK, 21 SYS_ADMIN, 38 PERFMON, 39 BPF
tap_is "it has the capabilities of the unit and no others" "$(status_of xipsec CapEff)" \
	"$(printf %016x $((1 << 0 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 21 | 1 << 38 | 1 << 39)))"
tap_is "no new privileges, and a filter of system calls" "$(status_of xipsec NoNewPrivs) $(status_of xipsec Seccomp)" "1 2"
systemd-analyze security --no-pager --threshold=35 xipsec > /tmp/security
tap_is "systemd-analyze security finds it exposed to less than 3.5" $? 0
tail -n 1 /tmp/security | sed 's/^/# /'
tap_check "an SA and a policy of the kernel" eval 'kernel_sa && ip xfrm policy add src 10.1.1.0/24 dst 10.1.2.0/24 dir out \
	tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 2 mode tunnel'
tap_check "mirror: the host's packets are ours" wait_for 30 sysctl_is net/ipv4/conf/wan0/disable_xfrm 1
kill -9 "$(main_pid xipsec)"
tap_check "kill -9" wait_for 20 state_is xipsec failed
tap_is "the kernel protects them again" "$(< /proc/sys/net/ipv4/conf/wan0/disable_xfrm)" 0
tap_is "programs stay" "$(ip link show wan0 | grep -o 'prog/xdp')" prog/xdp
ip xfrm state flush
ip xfrm policy flush
rm -r /run/systemd/system/xipsec.service.d
tap_check "xipsec down" xipsec down
tap_is "takes them away" "$(ip link show wan0 | grep -o 'prog/xdp'; ls /sys/fs/bpf)" ""

stamp "charon-systemd"
conf "routes = yes"
tap_check "the peer" peer_start
prefix /opt/x
# all the other plugins are the better part of its start
lean='install_routes = no
load_modular = no
load = random nonce openssl kdf pem pkcs1 pubkey kernel-netlink socket-default vici stroke updown'
cat > /etc/strongswan.d/xipsec.conf <<- END
	charon-systemd { $lean }
	charon { $lean }
END
cat > /etc/swanctl/conf.d/office.conf <<- END
	connections { office { remote_addrs = 192.0.2.2
	                       local { auth = psk
	                               id = gw1 }
	                       remote { auth = psk
	                                id = gw2 }
	                       children { lan { local_ts = 10.1.1.0/24
	                                        remote_ts = 10.1.2.0/24
	                                        esp_proposals = aes128gcm16-esn
	                                        start_action = trap } } } }
	secrets { ike-office { secret = "the same at both ends" } }
END
drop_in strongswan /opt/x
sed -i 's/(complain,/(/' /etc/apparmor.d/usr.sbin.charon-systemd
for package in starter charon; do
	unpack strongswan-$package
done
allow usr.lib.ipsec.charon /usr
tap_check "profiles load" apparmor_parser -j 2 -r /etc/apparmor.d/usr.sbin.charon-systemd /etc/apparmor.d/usr.lib.ipsec.charon
stamp parsed
tap_check "without our lines, the library elsewhere: strongswan.service does not start" eval '! systemctl start strongswan'
tap_check "and says what to do" journal_has strongswan 'append .*/apparmor/usr.sbin.charon-systemd to'
stamp failed
tap_is "nothing was left to the kernel" "$(ip xfrm policy | grep -c tmpl)" 0
allow usr.sbin.charon-systemd /opt/x
tap_check "our lines" apparmor_parser -r /etc/apparmor.d/usr.sbin.charon-systemd
stamp parsed
tap_check "with them it does" start strongswan
stamp started
tap_is "AppArmor confines it" "$(confined "$(main_pid strongswan)")" "/usr/sbin/charon-systemd (enforce)"
tap_is "its policies are with xipsecd" "$(xipsec xfrm policy | grep -c tmpl)" 3
tap_check "a packet brings the tunnel up" carried 5
stamp carried
tap_is "the kernel has no SA" "$(ip xfrm state)" ""
tap_is "nor policy" "$(ip xfrm policy | grep -c tmpl)" 0
old=$(main_pid xipsec)
kill -9 "$old"
tap_check "kill -9: systemd starts it again" wait_for 60 restarted xipsec "$old"
tap_is "with its SAs" "$(our_sas)" 2
tap_check "which carry" carried 5
tap_check "charon rekeys as if nothing had been" swanctl --rekey --child lan
tap_check "and the new SAs carry" wait_for 60 carried 2
stamp rekeyed
old=$(main_pid xipsec)
tap_check "an upgrade" dpkg --force-unsafe-io -i "$deb"
tap_check "restarts it" restarted xipsec "$old"
tap_check "the SAs carry on" carried 2
stamp upgraded
tap_check "systemctl stop strongswan" systemctl stop strongswan
tap_is "takes its SAs and policies" "$(xipsec show -j | jq -c '[(.sas | length), (.policies | length)]')" "[0,0]"

stamp "starter"
cat > /etc/ipsec.conf <<- END
	conn office
	    keyexchange = ikev2
	    authby = secret
	    left = 192.0.2.1
	    leftid = gw1
	    leftsubnet = 10.1.1.0/24
	    right = 192.0.2.2
	    rightid = gw2
	    rightsubnet = 10.1.2.0/24
	    esp = aes128gcm16-esn!
	    auto = route
END
echo ': PSK "the same at both ends"' > /etc/ipsec.secrets
drop_in strongswan-starter /usr
tap_check "strongswan-starter.service starts" start strongswan-starter
stamp started
tap_is "AppArmor confines it" "$(confined "$(< /run/charon.pid)")" "/usr/lib/ipsec/charon (enforce)"
tap_check "a packet brings the tunnel up" wait_for 60 carried 2
tap_is "the kernel has no SA" "$(ip xfrm state)" ""
tap_check "systemctl stop strongswan-starter" systemctl stop strongswan-starter
stamp "libreswan"

unpack libreswan
cat > /etc/ipsec.conf <<- END
	config setup
	conn office
	    ikev2 = insist
	    authby = secret
	    left = 192.0.2.1
	    leftid = @gw1
	    leftsubnet = 10.1.1.0/24
	    right = 192.0.2.2
	    rightid = @gw2
	    rightsubnet = 10.1.2.0/24
	    leftupdown = %disabled
	    esp = aes_gcm128
	    esn = yes
	    auto = route
END
echo '@gw1 @gw2 : PSK "the same at both ends"' > /etc/ipsec.secrets
drop_in ipsec /usr
# of modules, its unit would load all that are called crypto: a minute
mount -t tmpfs tmpfs "/usr/lib/modules/$(uname -r)"
tap_check "an SA of the kernel, and one of xipsecd" eval 'kernel_sa && xipsec xfrm state add src 192.0.2.1 dst 192.0.2.2 \
	proto esp spi 0x1002 mode transport aead "rfc4106(gcm(aes))" 0x200102030405060708090a0b0c0d0e0f10111213 128'
tap_check "ipsec.service starts" start ipsec
tap_is "its flush took xipsecd's SA and not the kernel's" "$(our_sas) $(ip xfrm state | grep -c ^src)" "0 1"
tap_check "its policies are with xipsecd" eval 'xipsec xfrm policy | grep "dst 10.1.2.0/24"'
tap_check "a packet brings the tunnel up" wait_for 60 carried 2 || journalctl -u ipsec --no-pager -o cat | tail -n 30
tap_check "systemctl stop ipsec" systemctl stop ipsec
tap_is "takes its SAs and policies" "$(xipsec show -j | jq -c '[(.sas | length), (.policies | length)]')" "[0,0]"
stamp libreswan

dpkg -L xipsec > /tmp/files
tap_check "dpkg -r" eval 'dpkg --force-unsafe-io -r xipsec 2> /tmp/removed'
tap_check "says that protection stays" grep -q 'xipsec down' /tmp/removed
tap_is "and it does" "$(ip link show wan0 | grep -o 'prog/xdp')" prog/xdp
tap_is "the daemon has ended" "$(systemctl show -P ActiveState xipsec)" inactive
tap_check "dpkg -P" dpkg --force-unsafe-io -P xipsec
tap_is "no file of the package is left" "$(while read -r f; do [ ! -f "$f" ] || echo "$f"; done < /tmp/files)" ""
tap_is "nor a link to its unit" "$(find /etc/systemd -name 'xipsec.service')" ""
tap_check "the operator's are, and what keys of files have used up" eval \
	'[ -e /etc/xipsec/xipsec.conf ] && [ "$(find /var/lib/xipsec -type f | wc -l)" = 1 ]'
stamp end
tap_done
