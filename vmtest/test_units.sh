#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 400
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
	exec vmtest/vmrun -s -t 390 "vmtest/${0##*/}"
fi
. tests/lib/tap.sh
. vmtest/common.sh

units=$VM_CACHE/units
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

deb=$(echo "$units"/xipsec_*.deb)
modprobe -a esp4 xfrm_user gcm veth

stamp "package"
dpkg_know "$deb"
tap_check "dpkg -i" dpkg --force-unsafe-io -i "$deb"
tap_is "the unit is enabled" "$(systemctl is-enabled xipsec)" enabled
tap_is "and does nothing without a configuration" "$(systemctl show -P ActiveState -P ConditionResult xipsec)" $'inactive\nno'
tap_check "the group is there" getent group xipsec
tap_check "systemd finds no fault in the unit" eval '! systemd-analyze verify xipsec.service 2>&1 | grep xipsec'
stamp "start"
ports || tap_not_ok "ports"
install -m 600 /dev/stdin /etc/xipsec/sas << END
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 reqid 1 mode tunnel aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128
END
conf "sas = /etc/xipsec/sas" "routes = yes"
tap_check "systemctl start xipsec" start xipsec || tap_done
tap_check "xipsec show" xipsec show
tap_is "the SA of the file is there" "$(our_sas)" 1
stamp shown
systemctl stop xipsec
xipsec down
ls -la /sys/fs/bpf /run/xipsec /var/lib/xipsec | sed 's/^/# /'
stamp "IKE"
mkdir -p /etc/systemd/system
cp -r /usr/share/xipsec/systemd/strongswan.service.d /etc/systemd/system/
cat /proc/uptime
sed -i 's/(complain,/(/' /etc/apparmor.d/usr.sbin.charon-systemd
cat /usr/share/xipsec/apparmor/usr.sbin.charon-systemd >> /etc/apparmor.d/local/usr.sbin.charon-systemd
time apparmor_parser -r /etc/apparmor.d/usr.sbin.charon-systemd
time apparmor_parser -r /etc/apparmor.d/usr.sbin.swanctl
stamp "loaded"
conf "routes = yes"
echo 'charon-systemd { install_routes = no }' > /etc/strongswan.d/xipsec.conf
cat > /etc/swanctl/conf.d/office.conf <<'END'
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
systemctl daemon-reload
start strongswan
stamp "started"
journalctl -u strongswan -u xipsec --no-pager -o cat
aa-status
confined $(main_pid strongswan)
xipsec xfrm policy
ip xfrm policy
stamp end
tap_done
