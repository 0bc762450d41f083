#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Traffic of two gateways as tshark reads it: it has the keys, checks every ICV and decrypts. One tunnel an algorithm, all
# at the same time, each for an address of its own behind gw2. tshark 4.0 has neither ESN nor ChaCha20-Poly1305.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_root
need_tools ip ethtool tcpdump tshark python3 awk
. tests/lib/netns.sh
. tests/lib/sas.sh

# name | words for ip, @BITS of key at each place | tshark's cipher | tshark's integrity | outer | inner | more words
rows() {
	local bits icv inner=4
	for bits in 128 192 256; do
		for icv in 16 12 8; do
			inner=$((10 - inner))
			gcm_row "AES-GCM-$bits/$((icv * 8))" "$bits" "$icv" "4|$inner|"
		done
	done
	gcm_row "AES-GCM-256/128 in IPv6" 256 16 "6|6|"
	gcm_row "AES-GCM-128/128 in UDP" 128 16 "4|4|encap espinudp 4500 4500 0.0.0.0"
	with_auth "AES-CBC-128" "enc cbc(aes) @128" "AES-CBC [RFC3602]"
	with_auth "AES-CBC-256" "enc cbc(aes) @256" "AES-CBC [RFC3602]"
	with_auth "AES-CTR-128" "enc rfc3686(ctr(aes)) @160" "AES-CTR [RFC3686]"
	with_auth "AES-CTR-256" "enc rfc3686(ctr(aes)) @288" "AES-CTR [RFC3686]"
	with_auth "NULL" 'enc ecb(cipher_null) ""' "NULL"
}
gcm_row() {
	echo "$1|aead rfc4106(gcm(aes)) @$(($2 + 32)) $(($3 * 8))|AES-GCM with $3 octet ICV [RFC4106]|NULL|$4"
}
with_auth() {
	local auth
	while IFS='|' read -r -a auth; do
		echo "$1 ${auth[0]}|$2 ${auth[1]}|$3|${auth[2]}|${auth[3]}|${auth[4]}|"
	done <<- END
		HMAC-SHA1-96|auth-trunc hmac(sha1) @160 96|HMAC-SHA-1-96 [RFC2404]|4|4
		HMAC-SHA2-256-128|auth-trunc hmac(sha256) @256 128|HMAC-SHA-256-128 [RFC4868]|4|6
		HMAC-SHA2-384-192|auth-trunc hmac(sha384) @384 192|HMAC-SHA-384-192 [RFC4868]|6|4
		HMAC-SHA2-512-256|auth-trunc hmac(sha512) @512 256|HMAC-SHA-512-256 [RFC4868]|6|6
	END
}

# key_hex SEED BITS: any fixed bytes
key_hex() {
	local out
	out=$(sha512sum <<< "tshark $1")
	echo "0x${out:0:$(($2 / 4))}"
}

# The SA's words, keys filled in; and its keys alone, cipher's first, into crypt and icv_key.
fill_keys() {
	local word keys=()
	words=
	for word in $2; do
		if [[ $word == @* ]]; then
			word=$(key_hex "$1 ${#keys[@]}" "${word#@}")
			keys+=("$word")
		fi
		words+="$word "
	done
	case $2 in
	*ecb*) crypt='' icv_key=${keys[0]} ;;
	*) crypt=${keys[0]} icv_key=${keys[1]:-} ;;
	esac
}

# behind N ROW INNER: an address of row ROW behind gateway N
behind() {
	if [ "$3" = 6 ]; then printf 'fd00:%d::%x' "$1" $((256 + $2)); else echo "10.1.$1.$((100 + $2))"; fi
}

# sa_one ROW FROM TO SPI: an SA of the row in field, and a line of tshark's table
sa_one() {
	local row=$1 from=$2 to=$3 spi=$4
	fill_keys "$from $row" "${field[1]}"
	echo "xfrm state add src $(outer_addr "$from" "${field[4]}") dst $(outer_addr "$to" "${field[4]}") proto esp spi $spi" \
		"reqid $((spi)) mode tunnel flag af-unspec ${field[6]} $words" >> "$XI_TMP/sas"
	printf 'uat:esp_sa:"IPv%s","*","*","0x%08x","%s","%s","%s","%s"\n' "${field[4]}" $((spi)) "${field[2]}" "$crypt" \
		"${field[3]}" "$icv_key" >> "$XI_TMP/uat"
}

# policies GW ROW FROM TO OUT-SPI IN-SPI
policies() {
	local near far dir tmpl
	near=$(behind "$3" 0 "${field[5]}") far=$(behind "$4" "$2" "${field[5]}")
	[ "$1" = gw1 ] || near=$(behind "$3" "$2" "${field[5]}") far=$(behind "$4" 0 "${field[5]}")
	tmpl="$(outer_addr "$3" "${field[4]}") dst $(outer_addr "$4" "${field[4]}") proto esp reqid $(($5)) mode tunnel"
	echo "xfrm policy add src $near dst $far dir out tmpl src $tmpl"
	tmpl="$(outer_addr "$4" "${field[4]}") dst $(outer_addr "$3" "${field[4]}") proto esp reqid $(($6)) mode tunnel"
	for dir in in fwd; do
		echo "xfrm policy add src $far dst $near dir $dir tmpl src $tmpl"
	done
}

load_rows() {
	local row=0 there back far=()
	while IFS='|' read -r -a field; do
		((++row))
		field[6]=${field[6]:-}
		names[row]=${field[0]} inners[row]=${field[5]} there=$((0x2000 + row)) back=$((0x3000 + row))
		sa_one $row 1 2 $there
		sa_one $row 2 1 $back
		policies gw1 $row 1 2 $there $back >> "$XI_TMP/gw1.policies"
		policies gw2 $row 2 1 $back $there >> "$XI_TMP/gw2.policies"
		far+=("$(behind 2 $row "${field[5]}")/$([ "${field[5]}" = 6 ] && echo 64 || echo 24)")
	done < <(rows)
	for gw in gw1 gw2; do
		cat "$XI_TMP/sas" "$XI_TMP/$gw.policies" | load_lines $gw || return 1
	done
	net_addr h1 lan0 "$(behind 1 0 4)/24" "$(behind 1 0 6)/64" && net_addr h2 lan0 "${far[@]}"
}

SIZES="0 1 2 13 56 1000"
# both ways: an echo of each size, and its answer
ping_rows() {
	local row size from to rc=0
	for row in "${!names[@]}"; do
		from=$(behind 1 0 "${inners[row]}") to=$(behind 2 "$row" "${inners[row]}")
		for size in $SIZES; do
			net_in h1 ping -q -c 1 -W 3 -I "$from" -s "$size" "$to" > /dev/null ||
				{ echo "${names[row]}: $size bytes are not answered"; rc=1; }
		done
	done
	return $rc
}

# read_capture PCAP: SPI, ICV good, ICV bad, and whether an ICMP checksum inside was right, a line a packet. The first
# of each: what a changed packet decrypts to may look like one more.
read_capture() {
	local uat opts=()
	while read -r uat; do
		opts+=(-o "$uat")
	done < "$XI_TMP/uat"
	tshark -n -r "$1" -o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE "${opts[@]}" -Y esp \
		-T fields -E separator='|' -E occurrence=f -e esp.spi -e esp.icv_good -e esp.icv_bad -e icmp.checksum.status \
		-e icmpv6.checksum.status -e icmp.type -e icmpv6.type
}

# judge FILE ROW: of both SAs of a row: packets, ICV good, ICV bad, ICMP inside with its checksum right
judge() {
	awk -F'|' -v a="$(printf 0x%08x $((0x2000 + $2)))" -v b="$(printf 0x%08x $((0x3000 + $2)))" '
		$1 == a || $1 == b { n++; good += $2 == 1; bad += $3 == 1; inside += $4 $5 == 1 && $6 $7 != "" }
		END { printf "%d packets, %d good, %d bad, %d with ICMP inside\n", n, good, bad, inside }' "$1"
}

# A bit of each ESP packet, by turns of its ICV, its ciphertext, its sequence number. With CBC a bit of the IV in the
# place of the ciphertext: it is one bit of plaintext, too, and not a block of noise, at which tshark stumbles before it
# comes to speak of the ICV.
tamper() {
	python3 - "$1" "$2" "$XI_TMP/uat" <<- 'END'
		import struct, sys
		data, out, n = open(sys.argv[1], "rb").read(), open(sys.argv[2], "wb"), 0
		cbc = [int(row.split('"')[7], 16) for row in open(sys.argv[3]) if "CBC" in row]
		out.write(data[:24])
		at = 24
		while at < len(data):
		    length = struct.unpack_from("<I", data, at + 8)[0]
		    frame = bytearray(data[at + 16:at + 16 + length])
		    # ethertype: where the protocol's number is, and where IP's payload begins
		    nh, esp = {b"\x08\0": (23, 34), b"\x86\xdd": (20, 54)}.get(bytes(frame[12:14]), (0, 0))
		    if nh and frame[nh] in (17, 50):
		        esp += 8 * (frame[nh] == 17)
		        text = esp + 16 if int.from_bytes(frame[esp:esp + 4], "big") in cbc else length - 33
		        frame[(length - 1, text, esp + 7)[n % 3]] ^= 1
		        n += 1
		    out.write(data[at:at + 16] + frame)
		    at += 16 + length
	END
}

names=() inners=()
tap_check "two gateways, two hosts" net_up || tap_done
for gw in gw1 gw2; do
	tap_check "xipsecd of $gw starts" start_daemon $gw || tap_done
done
tap_check "a tunnel an algorithm" load_rows || tap_done
tap_check "the wire is captured" capture_start wan w1 || tap_done
tap_check "echoes of each size are answered through each" ping_rows
tap_check "the capture is complete" capture_stop wan w1
tap_check "nothing else was on the wire" only_esp "$XI_TMP/wan-w1.pcap"

tap_check "tshark reads it" eval 'read_capture "$XI_TMP/wan-w1.pcap" > "$XI_TMP/read"'
want=$(($(wc -w <<< "$SIZES") * 2))
for row in "${!names[@]}"; do
	tap_is "${names[row]}: every ICV is right, and ICMP inside" "$(judge "$XI_TMP/read" "$row")" \
		"$want packets, $want good, 0 bad, $want with ICMP inside"
done
tap_check "a bit of each packet is changed" tamper "$XI_TMP/wan-w1.pcap" "$XI_TMP/tampered.pcap"
tap_check "tshark reads that, too" \
	eval 'read_capture "$XI_TMP/tampered.pcap" > "$XI_TMP/read-tampered"'
for row in "${!names[@]}"; do
	tap_is "${names[row]}: no changed packet is taken for right" "$(judge "$XI_TMP/read-tampered" "$row" | cut -d, -f1-3)" \
		"$want packets, 0 good, $want bad"
done
tap_done
