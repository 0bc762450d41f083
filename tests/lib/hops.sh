# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2016,SC2154
# Where datagrams died: all that whoever handles a packet counts, before and after. Source tests/lib/netns.sh first.
#
#   hops_note       reads it: every namespace's devices, protocols, XFRM, packet sockets and neighbours, the reasons of every
#                   xipsecd that runs, the queues of the CPUs, and user-mode Linux where it runs
#   hops_changed    reads it again, prints what has changed since

# in a network namespace, or in user-mode Linux
hops_files='
	awk '\''
		FILENAME == "/proc/net/dev" && /:/ {
			sub(":", " ")
			n = split("bytes packets errs drop fifo frame compressed multicast", names, " ")
			for (i = 2; i <= 4; i++) {
				print $1 ".rx_" names[i], $(i + 1)
				print $1 ".tx_" names[i], $(i + 9)
			}
		}
		FILENAME ~ /\/(snmp|netstat)$/ {
			if ($1 == head) {
				for (i = 2; i <= NF; i++)
					print head name[i], $i
				head = ""
			} else {
				head = $1
				for (i = 2; i <= NF; i++)
					name[i] = $i
			}
		}
		FILENAME ~ /(snmp6|xfrm_stat)$/ { print $1, $2 }
	'\'' /proc/net/dev /proc/net/snmp /proc/net/netstat $(ls /proc/net/snmp6 /proc/net/xfrm_stat 2> /dev/null)
	ss -0 -a -n -m | sed -nE "s/^([^ ]+ +){4}([^ ]+) .*,d([0-9]*)\).*/packet_socket(\2).drop \3/p"
	for cache in arp_cache ndisc_cache; do
		{
			read -r names
			while read -r line; do
				set -- $line
				for name in $names; do
					echo "$cache.$name $((16#$1))"
					shift
				done
			done
		} < /proc/net/stat/$cache
	done
	tc -s qdisc | awk "/^qdisc/ { dev = \$5 } /dropped/ { sub(/.*dropped /, \"\"); print \"qdisc.\" dev \".drop\", \$0 + 0 }"
'
hops_cpus='
	while read -r _ dropped squeezed _; do
		echo "softnet.drop $((16#$dropped))"
		echo "softnet.squeezed $((16#$squeezed))"
	done < /proc/net/softnet_stat
'

hops_noise='Octets|NoECT|Mcast|MLD|Icmp6?(Msg)?:?(In|Out)?(Type|Msgs)|_cache\.(allocs|destroys|entries|hits|lookups)'

hops_all() {
	local ns
	bash -c "$hops_cpus" | sed 's/^/cpus /'
	for ns in "${xi_namespaces[@]}"; do
		net_in "$ns" bash -c "$hops_files" 2> /dev/null | sed "s/^/$ns /"
		[ -z "${xi_pids["daemon $ns"]:-}" ] || gwctl "$ns" xipsec stats -j |
			jq -r --arg ns "$ns" '.reasons | to_entries[] | "\($ns) reason.\(.key) \(.value)"'
	done
	[ -z "${xi_pids[uml]:-}" ] || uml_run <<< "$hops_cpus $hops_files
		echo \"kernel_log.lines \$(dmesg | wc -l)\"" | sed 's/^/linux /'
}

# of what there is several of, such as CPUs
hops_sum() { awk '{ n[$1 " " $2] += $3 } END { for (k in n) printf "%s %d\n", k, n[k] }' | sort; }
hops_note() { hops_all | hops_sum > "$XI_TMP/hops"; }
hops_changed() {
	hops_all | hops_sum | grep -vE "$hops_noise" | awk '
		NR == FNR { was[$1 " " $2] = $3; next }
		$3 != was[$1 " " $2] + 0 { line[$1] = line[$1] " " $2 " +" $3 - was[$1 " " $2] }
		END { for (where in line) print where ":" line[where] }' "$XI_TMP/hops" - | sort
}
