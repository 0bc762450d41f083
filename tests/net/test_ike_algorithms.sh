#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What strongSwan may negotiate for ESP and AH, in tunnel and transport mode: installed as the kernel calls it, and it
# carries packets, which the counters of charon at both ends show.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
. tests/lib/netns.sh
. tests/lib/ike.sh
need_root
need_ike
need_tools tcpdump

# name, proposal, what ip xfrm state shows of it
ALGORITHMS='
gcm128      esp aes128gcm16        aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{40} 128
gcm256esn   esp aes256gcm16-esn    aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{72} 128
gcm192icv8  esp aes192gcm8         aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{56} 64
gcm128icv12 esp aes128gcm12-esn    aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{40} 96
ccm256      esp aes256ccm16        aead rfc4309\(ccm\(aes\)\) 0x[0-9a-f]{70} 128
chacha      esp chacha20poly1305   aead rfc7539esp\(chacha20,poly1305\) 0x[0-9a-f]{72} 128
chachaesn   esp chacha20poly1305-esn aead rfc7539esp\(chacha20,poly1305\) 0x[0-9a-f]{72} 128
gmac128     esp aes128gmac-esn     aead rfc4543\(gcm\(aes\)\) 0x[0-9a-f]{40} 128
cbcsha256   esp aes128-sha256      auth-trunc hmac\(sha256\) 0x[0-9a-f]{64} 128
cbcsha384   esp aes192-sha384-esn  auth-trunc hmac\(sha384\) 0x[0-9a-f]{96} 192
cbcsha512   esp aes256-sha512-esn  auth-trunc hmac\(sha512\) 0x[0-9a-f]{128} 256
cbcsha1     esp aes256-sha1        auth-trunc hmac\(sha1\) 0x[0-9a-f]{40} 96
ctrsha256   esp aes128ctr-sha256   enc rfc3686\(ctr\(aes\)\) 0x[0-9a-f]{40}
cmac        esp aes128-aescmac     auth-trunc cmac\(aes\) 0x[0-9a-f]{32} 96
null        esp null-sha256        enc (ecb\(cipher_null\)|cipher_null)
ahsha256    ah  sha256             auth-trunc hmac\(sha256\) 0x[0-9a-f]{64} 128
ahsha512    ah  sha512-esn         auth-trunc hmac\(sha512\) 0x[0-9a-f]{128} 256
'
list() { grep . <<< "$ALGORITHMS"; }

net_up || tap_skip_all "cannot make network namespaces"
ike_gateways
# gw1 asks for one after the other; gw2 takes what it is asked for
proposals() { list | awk -v proto="$1" '$2 == proto { print $3 }' | paste -sd,; }
# connection PROTO: its children are on stdin
connection() {
	echo "$1 : wan, psk { local { id = $1%n }
		remote { id = $1%p }
		children { $(cat) } }"
}
child() { echo "$1 { $2; }" | tr ';' '\n'; }
children1() {
	local name proto proposal
	list | while read -r name proto proposal _; do
		[ "$proto" = "$1" ] || continue
		child "$name" "local_ts = 10.1.%n.0/24; remote_ts = 10.1.%p.0/24; ${proto}_proposals = $proposal"
		child "$name-host" "mode = transport; ${proto}_proposals = $proposal"
	done
}
children2() {
	child tunnel "local_ts = 10.1.%n.0/24; remote_ts = 10.1.%p.0/24; $1_proposals = $(proposals "$1")"
	child host "mode = transport; $1_proposals = $(proposals "$1")"
}
connections() {
	local n proto
	for n in 1 2; do
		{
			echo "connections {"
			for proto in esp ah; do
				children$n $proto | connection $proto
			done
			echo "}"
		} | ike_load gw$n $n $((3 - n)) || return 1
	done
}
tap_check "connections" connections || tap_done

# installed SHOWN: both SAs of gw1 have it, and ESN when the proposal has
installed() {
	local state esn=0
	state=$(gwip gw1 ip xfrm state list)
	[[ $proposal != *-esn ]] || esn=2
	[ "$(grep -cE "	$1( |\$)" <<< "$state")" = 2 ] && [ "$(grep -c 'flag.* esn' <<< "$state")" = $esn ] && return 0
	sed 's/0x[0-9a-f]\{9,\}/0x.../g' <<< "$state"
	return 1
}
# goes CHILD SHOWN FROM TO
goes() {
	ike_up gw1 "$1" && installed "$2" && carries "$1" 10 "$3" "$4" &&
		swan gw1 --terminate --child "$1" && wait_for 5 sas_are gw2 0
}

HOST=0
capture_start wan br
while read -r name proto proposal shown; do
	tap_check "$proposal ($proto)" goes "$name" "$shown" h1 10.1.2.2
	# what is in the header's place is the same for all of a kind
	case $name in
	gcm128 | chachaesn | gmac128 | cbcsha256 | cbcsha512 | ahsha256 | ahsha512) ;;
	*) continue ;;
	esac
	((++HOST))
	tap_check "$proposal ($proto), transport mode" goes "$name-host" "$shown" gw1 192.0.2.2
done < <(list)
capture_stop wan br > "$XI_TMP/capture"
N=$(list | wc -l)
tap_is "no ping in clear" "$(pcap_count "$XI_TMP/wan-br.pcap" icmp)" 0
tap_is "so many packets of ESP and AH" "$(pcap_count "$XI_TMP/wan-br.pcap" 'ip proto 50 or ip proto 51')" $(((N + HOST) * 20))
tap_done
