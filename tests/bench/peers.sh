# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Peers: other people's gateways, in the place that xipsec has in the benchmark.
#
#   testpmd      DPDK's testpmd over its af_xdp driver: forwards frames as they are
#   libipsec     strongSwan with kernel-libipsec: ESP in UDP, AES-128-GCM, tunnel mode, over a TUN device
#   wireguard    wireguard-go: WireGuard over a TUN device
#
# To be sourced after tests/lib/tap.sh and netns.sh, by a script that has gateway(), GEN_CPU, GW_CPU
# and NICE, and the namespaces left and right.
#
#   peer_missing NAME     says why the peer cannot run here; 1 when it can
#   start_NAME            makes the gateway NAME, and returns when it carries packets
#   peer_version NAME     one line, once it has been started
#   peer_wake NAME, peer_rest NAME    before and after each measurement: a peer that polls, or still has a
#                         backlog, must not take the core from the next one
#   peer_mtu NAME         the longest IP packet that it takes as it is
#   PEER_PID[NAME]        the process whose threads do the gateway's work, all of them on GW_CPU
#   peer_cpu NAME         nanoseconds that those threads have had of GW_CPU
#
# Of what these send, tests/bench/peers.py judges whether it is what it should be.
#
# The other end of a tunnel is in the namespace right, on r-NAME with an address of its own, on the
# generator's CPU. While a sink swallows what arrives there, it hears nothing and has nothing to do.

declare -A PEER_PID=()
IKE_GW=198.51.100.1 IKE_END=198.51.100.2
IKE_PLUGINS="kernel-libipsec kernel-netlink socket-default vici"
WG_GW=203.0.113.1 WG_END=203.0.113.2 WG_PORT=51820

# A stopped process hears no SIGTERM. What ends the script is the exit status that net_cleanup sees.
peers_cleanup() {
	local rc=$?
	[ -z "${PEER_PID[testpmd]:-}" ] || kill -KILL "${PEER_PID[testpmd]}" 2> /dev/null
	return $rc
}
trap 'peers_cleanup; net_cleanup' EXIT

# need_files PACKAGE PATTERN...: says which of them is not there
need_files() {
	local package=$1 pattern
	shift
	for pattern; do
		compgen -G "$pattern" > /dev/null || { echo "no $pattern here; install $package"; return 1; }
	done
}

peer_missing() {
	local plugins=/usr/lib/ipsec/plugins/libstrongswan
	case $1 in
	testpmd)
		need_files dpdk-dev /usr/bin/dpdk-testpmd &&
			need_files librte-net-af-xdp23 '/usr/lib/*/dpdk/pmds-*/librte_net_af_xdp.so*' && return 1
		return 0
		;;
	libipsec)
		need_files charon-systemd /usr/sbin/charon-systemd && need_files strongswan-swanctl /usr/sbin/swanctl &&
			need_files libcharon-extra-plugins $plugins-kernel-libipsec.so &&
			need_files libstrongswan-standard-plugins $plugins-gcm.so $plugins-aesni.so || return 0
		;;
	wireguard)
		need_files wireguard-go /usr/bin/wireguard-go && need_files wireguard-tools /usr/bin/wg || return 0
		;;
	*)
		echo "no peer has the name $1"
		return 0
		;;
	esac
	# only if it is there: opening it for writing would make a file of that name
	[ -c /dev/net/tun ] && (: <> /dev/net/tun) 2> /dev/null && return 1
	echo "/dev/net/tun cannot be opened: the kernel has no TUN, or this container may not use it"
}

peer_version() {
	case $1 in
	testpmd) sed -n "s/.*RTE Version: '\(.*\)'.*/\1 testpmd, af_xdp/p" "$XI_TMP/testpmd.log" ;;
	libipsec)
		swanctl --version --daemon --uri "unix://$XI_TMP/libipsec.vici" | sed 's/ (.*/, kernel-libipsec/'
		;;
	wireguard) wireguard-go --version | head -n 1 ;;
	esac
}

# kernel-libipsec reads no more than 1400 bytes of a packet, whatever the MTU of its TUN device.
peer_mtu() {
	case $1 in
	libipsec) echo 1400 ;;
	*) echo 1500 ;;
	esac
}

peer_wake() {
	[ "$1" != testpmd ] || kill -CONT "${PEER_PID[testpmd]}"
}

peer_rest() {
	if [ "$1" = testpmd ]; then
		kill -STOP "${PEER_PID[testpmd]}"
	else
		wait_for 10 peer_still "$1"
	fi
}

peer_cpu() {
	cat "/proc/${PEER_PID[$1]}/task"/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

# peer_still NAME: true when it has taken less than 2 % of the core since the last call
peer_still() {
	local before=${peer_before:-0 0} cpu time
	cpu=$(peer_cpu "$1") time=${EPOCHREALTIME/[.,]/}
	peer_before="$cpu $time"
	[ $(((cpu - ${before% *}) / 20)) -lt $((time - ${before#* })) ]
}

# peer_bg LABEL NAMESPACE CPUS CMD...: net_bg, with a /run that the machine's services do not see
peer_bg() {
	local label=$1 ns=$2 cpus=$3
	shift 3
	net_bg "$label" "$ns" nice -n "$NICE" taskset -c "$cpus" unshare -m bash -c \
		'mount -t tmpfs tmpfs /run && pause=$1 && shift && exec "$@" <&"$pause"' bash "$tap_pause" "$@"
	peer_pid=${xi_pids["bg $label"]}
	disown "$peer_pid"
}

# peer_fails LABEL WHY: says so, with the end of the log
peer_fails() {
	echo "$1: $2"
	tail -n 20 "$XI_TMP/$1.log"
	return 1
}

# peer_gateway NAME: without IPv6, whose own packets would be among what the sink counts
peer_gateway() {
	gateway "$1" lan0 && net_in "$1" sh -c 'cd /proc/sys/net/ipv6/conf && echo 1 > all/disable_ipv6 &&
		echo 1 > default/disable_ipv6'
}

# Forwards frames between its two ports. The main thread (lcore 0) only waits; lcore 1 polls. No busy
# polling, which would take the receive softirq from the generator's core to the gateway's.
start_testpmd() {
	peer_gateway testpmd || return 1
	peer_bg testpmd testpmd "$GW_CPU" stdbuf -oL dpdk-testpmd -v --no-huge -m 256 --no-shconf --no-pci \
		--no-telemetry --lcores "0@$GW_CPU,1@$GW_CPU" --main-lcore 0 \
		--vdev net_af_xdp0,iface=lan0,busy_budget=0 --vdev net_af_xdp1,iface=wan0,busy_budget=0 -- \
		--forward-mode=io --nb-cores=1 --total-num-mbufs=16384 --rxd=512 --txd=512
	PEER_PID[testpmd]=$peer_pid
	wait_for 20 grep -q 'Press enter' "$XI_TMP/testpmd.log" || peer_fails testpmd "does not forward" || return 1
	peer_rest testpmd
}

# tunnel_peer NAME GATEWAY-ADDRESS END-ADDRESS: a gateway that has but the tunnel for packets to 10.1.2.0/24
tunnel_peer() {
	peer_gateway "$1" && net_in "$1" ip route del 10.1.2.0/24 && net_addr "$1" wan0 "$2/24" &&
		net_addr right "r-$1" "$3/24" &&
		net_in "$1" ip neigh add "$3" lladdr "$R_MAC" dev wan0 nud permanent &&
		net_in right ip neigh add "$2" lladdr "$WAN_MAC" dev "r-$1" nud permanent
}

# through_tunnel NAME DEVICE: true when a packet that the gateway sends to 10.1.2.2 came out of DEVICE at
# the other end, decrypted and authenticated there
through_tunnel() {
	net_in "$1" bash -c 'echo > /dev/udp/10.1.2.2/9'
	net_in right ip -s -j link show dev "$2" | jq -e '.[0].stats64.rx.packets > 0'
}

# ike_conf NAME DEVICE: charon's own configuration. aesni before others: libipsec takes the first that
# does AES-GCM. Keep-alives (the plugin always finds a NAT) would be among what the sink counts.
ike_conf() {
	cat > "$XI_TMP/$1.strongswan" <<- CONF
	charon-systemd {
		load = random nonce aesni aes openssl sha1 sha2 hmac kdf gcm curve25519 $IKE_PLUGINS
		threads = 16
		keep_alive = 0
		interfaces_use = $2
		journal {
			default = -1
		}
		filelog {
			stderr {
				default = 1
			}
		}
		plugins {
			vici {
				socket = unix://$XI_TMP/$1.vici
			}
		}
	}
	CONF
}

# ike_connection NAME LOCAL REMOTE LOCAL-NET REMOTE-NET PSK: nothing is rekeyed while the benchmark runs
ike_connection() {
	cat > "$XI_TMP/$1.swanctl" <<- CONF
	connections {
		bench {
			version = 2
			mobike = no
			local_addrs = $2
			remote_addrs = $3
			proposals = aes128gcm16-prfsha256-x25519
			rekey_time = 0
			local {
				auth = psk
				id = $2
			}
			remote {
				auth = psk
				id = $3
			}
			children {
				net {
					local_ts = $4
					remote_ts = $5
					esp_proposals = aes128gcm16
					rekey_time = 0
				}
			}
		}
	}
	secrets {
		ike {
			secret = $6
		}
	}
	CONF
}

ike_ctl() {
	local name=$1
	shift
	swanctl "$@" --uri "unix://$XI_TMP/$name.vici" >> "$XI_TMP/$name.log" 2>&1
}

# start_charon NAME NAMESPACE CPU DEVICE
start_charon() {
	ike_conf "$1" "$4"
	peer_bg "$1" "$2" "$3" env STRONGSWAN_CONF="$XI_TMP/$1.strongswan" /usr/sbin/charon-systemd
	wait_for 10 test -S "$XI_TMP/$1.vici" && ike_ctl "$1" --load-all --file "$XI_TMP/$1.swanctl" ||
		peer_fails "$1" "does not take its configuration"
}

start_libipsec() {
	local psk
	psk=0x$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	tunnel_peer libipsec $IKE_GW $IKE_END || return 1
	# the plugin wants an address of its own net; what it decrypts has nowhere to go, and needs no answer
	net_addr right lo 10.1.2.1/32 && net_in right ip route add blackhole 10.1.2.0/24 || return 1
	ike_connection libipsec $IKE_GW $IKE_END 10.1.1.0/24 10.1.2.0/24 "$psk"
	ike_connection libipsec-end $IKE_END $IKE_GW 10.1.2.0/24 10.1.1.0/24 "$psk"
	start_charon libipsec-end right "$GEN_CPU" r-libipsec || return 1
	start_charon libipsec libipsec "$GW_CPU" wan0 || return 1
	PEER_PID[libipsec]=$peer_pid
	ike_ctl libipsec --initiate --child net --timeout 10 || peer_fails libipsec "no SA" || return 1
	wait_for 10 through_tunnel libipsec ipsec0 || peer_fails libipsec "nothing comes through the tunnel"
}

# start_wg NAME NAMESPACE CPU DEVICE CONFIGURATION
start_wg() {
	# one CPU to run on is what makes Go run one thread at a time, and wireguard-go have one worker of a kind
	peer_bg "$1" "$2" "$3" env WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error wireguard-go -f "$4"
	wait_for 10 nsenter -m -t "$peer_pid" test -S "/run/wireguard/$4.sock" &&
		nsenter -m -t "$peer_pid" wg setconf "$4" /dev/stdin <<< "$5" &&
		net_in "$2" ip link set dev "$4" mtu 1500 up || peer_fails "$1" "no device"
}

# wg_conf PRIVATE-KEY PEER-PUBLIC-KEY PEER-NET PEER-ADDRESS
wg_conf() {
	printf '[Interface]\nPrivateKey = %s\nListenPort = %s\n' "$1" $WG_PORT
	printf '[Peer]\nPublicKey = %s\nAllowedIPs = %s\nEndpoint = %s:%s\n' "$2" "$3" "$4" $WG_PORT
}

start_wireguard() {
	local key end_key
	key=$(wg genkey) && end_key=$(wg genkey) && tunnel_peer wireguard $WG_GW $WG_END || return 1
	start_wg wireguard-end right "$GEN_CPU" wg-end \
		"$(wg_conf "$end_key" "$(wg pubkey <<< "$key")" 10.1.1.0/24 $WG_GW)" || return 1
	start_wg wireguard wireguard "$GW_CPU" wg0 \
		"$(wg_conf "$key" "$(wg pubkey <<< "$end_key")" 10.1.2.0/24 $WG_END)" || return 1
	PEER_PID[wireguard]=$peer_pid
	net_in wireguard ip route add 10.1.2.0/24 dev wg0 src 10.1.1.1 &&
		wait_for 20 through_tunnel wireguard wg-end || peer_fails wireguard "nothing comes through the tunnel"
}
