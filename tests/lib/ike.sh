# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2154
# strongSwan, as Debian has it, in the namespaces of tests/lib/netns.sh. Source tap.sh and netns.sh first.
#
#   need_ike; need_libipsec      skips the file where strongSwan, its kernel-libipsec, is not installed
#   ike_start NAME [LINE...]     charon in that namespace, with these lines in its section of strongswan.conf; its XFRM
#                                goes to the namespace's xipsecd. IKE_KERNEL=libipsec: it does ESP itself
#   ike_stop NAME; ike_kill NAME      SIGTERM, which tells the peers; SIGKILL
#   ike_load NAME N P            swanctl.conf from stdin, with %n and %p in it for N and P; loaded in the place of what
#                                was there. Sections that connections and children may refer to are in ike_sections
#   ike_load_pair                the same text into gw1 (%n 1, %p 2) and gw2 (%n 2, %p 1)
#   ike_gateways [LINE...]       xipsecd and charon in gw1 and gw2, or the file ends
#   ike_ca; ike_cert NAME        a CA, and a key and certificate of NAME@xipsec.test, for charon in namespace NAME;
#                                before ike_load
#   swan NAME ARG...             swanctl of that charon
#   ike_up NAME CHILD            initiates it: 0 when it is installed
#   ike_down NAME CONNECTION     terminates it
#   ike_sas NAME                 list-sas as JSON: an array of IKE SAs, each with "name" and "children", an array
#   ike_children NAME JQ         how many child SAs that JQ selects, such as '.name == "net"'
#   ike_is NAME N JQ             it is N
#   ike_count NAME CHILD KEY     the sum of bytes-in, packets-out ... over the SAs of that child
#   carries CHILD N FROM TO [OPTION...]   N pings, all answered, and each of gw1's and gw2's SAs of CHILD took N
#                                packets more
#   flow_start LABEL RATE [PAIR...]       tests/lib/flow.py in the background; PAIR: NAME:ADDRESS=NAME:ADDRESS
#   flow_end LABEL               ends it, prints what it counted; 0 when each datagram arrived, and once
#   sas_are NAME N               so many SAs are in NAME's xipsecd
#   esp_unique PCAP              no ESP sequence number occurs twice in an SA: prints how many packets of how many SAs

CHARON=/usr/sbin/charon-systemd
# only_esp (netns.sh) does not mind IKE, nor what a host says of a packet that was seen before, such as IKE without charon
XI_LINK_FILTER+=' or udp port 500 or icmp[0] = 3 or icmp[0] = 5 or (icmp6 and ip6[40] < 128)'

# connections: wan, wan6 (addresses), psk, cert (authentication); children: nets, nets6 (what they protect)
ike_sections='
	common { version = 2
	         mobike = no
	         proposals = aes128-sha256-x25519 }
	wan : common { local_addrs = 192.0.2.%n
	               remote_addrs = 192.0.2.%p }
	wan6 : common { local_addrs = 2001:db8::%n
	                remote_addrs = 2001:db8::%p }
	psk { local { auth = psk }
	      remote { auth = psk } }
	cert { local { auth = pubkey
	               certs = gw%n.pem
	               id = gw%n@xipsec.test }
	       remote { auth = pubkey
	                id = gw%p@xipsec.test } }
	nets { local_ts = 10.1.%n.0/24
	       remote_ts = 10.1.%p.0/24
	       esp_proposals = aes128gcm16-esn }
	nets6 { local_ts = fd00:%n::/64
	        remote_ts = fd00:%p::/64
	        esp_proposals = aes128gcm16-esn }
	secrets { ike-all { secret = "not a secret at all" } }
'

need_ike() {
	need_tools swanctl openssl jq
	[ -x $CHARON ] || tap_skip_all "strongSwan (charon-systemd) is not installed; run make deps"
}

need_libipsec() {
	[ -e /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so ] ||
		tap_skip_all "kernel-libipsec (libcharon-extra-plugins) is not installed; run make deps"
	[ -c /dev/net/tun ] || tap_skip_all "no /dev/net/tun"
}

# ike_conf NAME LINE...: strongswan.conf
ike_conf() {
	local kernel=kernel-netlink
	[ "${IKE_KERNEL:-}" != libipsec ] || kernel="kernel-libipsec kernel-netlink"
	cat > "$XI_TMP/$1.strongswan" <<- END
		charon-systemd {
			load = random nonce openssl kdf chapoly pem pkcs1 pkcs8 x509 pubkey $kernel socket-default vici updown
			install_routes = ${IKE_ROUTES:-no}
			journal { default = -1 }
			filelog { log { path = $XI_TMP/$1.charon
			                default = 1
			                flush_line = yes } }
			plugins { vici { socket = unix://$XI_TMP/$1.vici }
			          kernel-libipsec { allow_peer_ts = yes } }
			$(printf '%s\n' "${@:2}")
		}
	END
	mkdir -p "$XI_TMP/$1.swanctl/"{x509{,ca,ocsp,aa,ac,crl},pubkey,private,rsa,ecdsa,bliss,pkcs8,pkcs12}
}

ike_start() {
	local name=$1 preload=LD_PRELOAD=$PWD/$XI_BUILD/libxipsec-xfrm.so
	[ "${IKE_KERNEL:-}" != libipsec ] || preload=IKE_KERNEL=libipsec
	ike_conf "$@"
	rm -f "$XI_TMP/$name.vici"
	net_bg "charon-$name" "$name" env STRONGSWAN_CONF="$XI_TMP/$name.strongswan" "$preload" $CHARON
	# it answers: every plugin has been loaded
	wait_for 20 swan "$name" --stats && return 0
	echo "charon of $name did not start; its log:"
	tail -n 20 "$XI_TMP/$name.charon" "$XI_TMP/charon-$name.log"
	return 1
}

# ike_threads PID: where each of its threads waits; from the inside if there is a debugger
ike_threads() {
	local t
	for t in "/proc/$1/task"/*; do
		cat "$t/comm" "$t/wchan" "$t/syscall" 2> /dev/null | tr '\n' ' '
		echo
	done
	! command -v gdb > /dev/null || gdb -p "$1" -batch -ex 'thread apply all bt 12' 2> /dev/null | grep -E '^(Thread|#)' | cut -c1-160
}

# ike_signal NAME SIGNAL
ike_signal() {
	local pid=${xi_pids["bg charon-$1"]:?no charon runs in $1} rc=0
	kill "-$2" "$pid"
	wait_for 30 process_gone "$pid" || { ike_threads "$pid"; tail -n 5 "$XI_TMP/$1.charon"; kill -KILL "$pid"; rc=1; }
	wait "$pid" 2> /dev/null
	unset 'xi_pids["bg charon-'"$1"'"]'
	return $rc
}

ike_stop() { ike_signal "$1" TERM; }
ike_kill() { ike_signal "$1" KILL; }

# where charon of NAME runs; tests/lib/ike_uml.sh has its own
ike_in() { net_in "$@"; }

swan() {
	ike_in "$1" env SWANCTL_DIR="$XI_TMP/$1.swanctl" swanctl "${@:2}" --uri "unix://$XI_TMP/$1.vici" 2>&1
}

ike_load() {
	{ echo "$ike_sections"; cat; } | sed "s/%n/$2/g; s/%p/$3/g" > "$XI_TMP/$1.swanctl/swanctl.conf"
	swan "$1" --load-all --file "$XI_TMP/$1.swanctl/swanctl.conf"
}

ike_load_pair() {
	local text
	text=$(cat)
	ike_load gw1 1 2 <<< "$text" && ike_load gw2 2 1 <<< "$text"
}

ike_gateways() {
	local gw
	for gw in gw1 gw2; do
		start_daemon $gw || { tap_not_ok "xipsecd of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.log")"; tap_done; }
		ike_start $gw "$@" || { tap_not_ok "charon of $gw starts" "$(tail -n 20 "$XI_TMP/$gw.charon")"; tap_done; }
	done
}

# ike_key FILE: a key for ECDSA
ike_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2> /dev/null; }

ike_ca() {
	ike_key "$XI_TMP/ca.key" &&
		openssl req -x509 -key "$XI_TMP/ca.key" -subj "/O=xipsec test/CN=CA" -days 2 -out "$XI_TMP/ca.pem" \
			-addext keyUsage=critical,keyCertSign,cRLSign
}

ike_cert() {
	local dir=$XI_TMP/$1.swanctl
	cp "$XI_TMP/ca.pem" "$dir/x509ca/" && ike_key "$dir/private/$1.pem" &&
		openssl req -new -key "$dir/private/$1.pem" -subj "/O=xipsec test/CN=$1" -out "$XI_TMP/$1.csr" &&
		openssl x509 -req -in "$XI_TMP/$1.csr" -CA "$XI_TMP/ca.pem" -CAkey "$XI_TMP/ca.key" -CAcreateserial -days 1 \
			-extfile <(echo "subjectAltName = email:$1@xipsec.test,email:all@xipsec.test") -out "$dir/x509/$1.pem"
}

ike_up() {
	local out
	out=$(swan "$1" --initiate --timeout "${IKE_TIMEOUT:-20}" --child "$2" "${@:3}")
	[[ $out == *"initiate completed successfully"* ]] || { echo "$out"; return 1; }
}

ike_down() {
	local out
	out=$(swan "$1" --terminate --timeout 10 --ike "$2")
	[[ $out == *"terminate completed successfully"* ]] || { echo "$out"; return 1; }
}

ike_sas() { swan "$1" --list-sas --pretty | tests/lib/vici_json.py; }

ike_children() { ike_sas "$1" | jq "[.[].children[] | select($2)] | length"; }
ike_is() { [ "$(ike_children "$1" "$3")" = "$2" ]; }
ike_count() {
	ike_sas "$1" | jq --arg child "$2" --arg key "$3" '[.[].children[] | select(.name == $child)[$key] | tonumber] | add // 0'
}

# packets of gw1's SAs of that child: in and out of gw1, in and out of gw2, which may have another name for it
ike_counts() {
	local sas spis
	sas=$(ike_sas gw1 | jq -c --arg child "$1" '[.[].children[] | select(.name == $child)]')
	spis=$(jq -c 'map(.["spi-in"])' <<< "$sas")
	{ echo "$sas"; ike_sas gw2 | jq -c --argjson spis "$spis" '[.[].children[] | select(.["spi-out"] | IN($spis[]))]'; } |
		jq -r '(map(.["packets-in"] | tonumber) | add // 0), (map(.["packets-out"] | tonumber) | add // 0)'
}

carries() {
	local child=$1 n=$2 from=$3 to=$4 earlier later i wrong=0
	mapfile -t earlier < <(ike_counts "$child")
	net_in "$from" ping -q -c "$n" -i 0.005 -W 5 "${@:5}" "$to" | grep ' 0% packet loss' || wrong=1
	mapfile -t later < <(ike_counts "$child")
	for i in 0 1 2 3; do
		[ $((later[i] - earlier[i])) = "$n" ] || wrong=1
	done
	[ $wrong = 0 ] && return 0
	echo "packets in and out of gw1, in and out of gw2: ${earlier[*]}, then ${later[*]}"
	return 1
}

# those_with_keys: of ip xfrm state on stdin; not SAs of ACQUIREs, which are there until their time is over, as in Linux
those_with_keys() {
	awk '/^src/ { if (keys) printf "%s", sa; sa = ""; keys = 0 }
		{ sa = sa $0 "\n" }
		/^\t(aead|auth|auth-trunc|enc) / { keys = 1 }
		END { if (keys) printf "%s", sa }'
}
sas_are() { [ "$(gwip "$1" ip xfrm state list | those_with_keys | grep -c '^src')" = "$2" ]; }

flow_start() {
	local label=$1 rate=$2 pairs
	shift 2
	pairs=("${@/#/$XI_NS-}")
	: > "$XI_TMP/$label.log"
	tests/lib/flow.py "$rate" "${pairs[@]/=/=$XI_NS-}" > "$XI_TMP/$label.log" 2>&1 &
	xi_pids["bg $label"]=$!
	wait_for 10 grep -q running "$XI_TMP/$label.log"
}

flow_end() {
	local pid=${xi_pids["bg $1"]:-} rc
	[ -n "$pid" ] || return 1
	kill -TERM "$pid" 2> /dev/null
	wait "$pid"
	rc=$?
	unset 'xi_pids["bg '"$1"'"]'
	tail -n 4 "$XI_TMP/$1.log"
	[ $rc = 0 ] || ike_told
	return $rc
}

# ike_told: what the gateways have to say of datagrams that did not arrive
ike_told() {
	local gw
	for gw in gw1 gw2; do
		echo "$gw: $(gwctl $gw xipsec stats -j 2>&1 | jq -c '.reasons | with_entries(select(.value > 0))')"
		[ ! -e "$XI_TMP/$gw.charon" ] || grep -E 'CHILD_SA|colli|redundant|TEMP|NO_PROP' "$XI_TMP/$gw.charon" | tail -n 24
	done
}

esp_unique() {
	pcap_list "$1" | grep -o 'ESP(spi=0x[0-9a-f]*,seq=0x[0-9a-f]*)' | sort > "$XI_TMP/esp-numbers"
	echo "$(wc -l < "$XI_TMP/esp-numbers") packets of $(sed 's/,.*//' "$XI_TMP/esp-numbers" | sort -u | wc -l) SAs"
	[ -s "$XI_TMP/esp-numbers" ] && [ -z "$(uniq -d "$XI_TMP/esp-numbers" | tee /dev/stderr | head -n 5)" ]
}
