# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# SAs of every kind, as lines of `ip xfrm`. ip_xfrm_linux.txt has what `cases_run /bin/ip` of this file printed in a Linux
# 6.1.176 with esp4, esp6, ah4 and ah6 (Debian's user-mode Linux, iproute2 6.1.0).

# bits BITS: a key that begins with its length
bits() { printf '0x%08x%0*d' "$1" $(($1 / 4 - 8)) 7; }

case_aeads() {
	local icv
	for icv in 64 96 128; do
		echo "aead rfc4106(gcm(aes)) $(bits 160) $icv"
		echo "aead rfc4309(ccm(aes)) $(bits 152) $icv"
	done
	echo "aead rfc4106(gcm(aes)) $(bits 224) 128"
	echo "aead rfc4106(gcm(aes)) $(bits 288) 64"
	echo "aead rfc4309(ccm(aes)) $(bits 216) 128"
	echo "aead rfc4309(ccm(aes)) $(bits 280) 96"
	echo "aead rfc7539esp(chacha20,poly1305) $(bits 288) 128"
	echo "aead rfc4543(gcm(aes)) $(bits 160) 128"
	echo "aead rfc4543(gcm(aes)) $(bits 224) 128"
	echo "aead rfc4543(gcm(aes)) $(bits 288) 128"
}
case_auths() {
	echo "auth-trunc hmac(sha1) $(bits 160) 96"
	echo "auth-trunc hmac(sha256) $(bits 256) 128"
	echo "auth-trunc hmac(sha256) $(bits 256) 96"
	echo "auth-trunc hmac(sha384) $(bits 384) 192"
	echo "auth-trunc hmac(sha512) $(bits 512) 256"
	echo "auth-trunc cmac(aes) $(bits 128) 96"
}
# AUTH names no length, and older names stand for today's
case_old_auths() {
	echo "auth hmac(sha1) $(bits 160)"
	echo "auth sha1 $(bits 160)"
	echo "auth hmac(sha256) $(bits 256)"
	echo "auth sha256 $(bits 256)"
	echo "auth hmac(sha384) $(bits 384)"
	echo "auth hmac(sha512) $(bits 512)"
	echo "auth cmac(aes) $(bits 128)"
}
case_ciphers() {
	local n
	for n in 128 192 256; do
		echo "enc cbc(aes) $(bits $n)"
		echo "enc rfc3686(ctr(aes)) $(bits $((n + 32)))"
	done
	echo 'enc ecb(cipher_null) ""'
}
case_esp() {
	case_aeads
	case_ciphers | sed "s/^/auth-trunc hmac(sha256) $(bits 256) 128 /"
	case_auths | sed "s/\$/ enc cbc(aes) $(bits 128)/"
	case_auths | sed 's/$/ enc ecb(cipher_null) ""/'
	case_old_auths | sed "s/\$/ enc rfc3686(ctr(aes)) $(bits 160)/"
	echo "auth hmac(sha256) $(bits 256) enc aes $(bits 128)"
	echo "auth hmac(sha256) $(bits 256) enc cipher_null \"\""
}

# What else an SA may have: GCM carries it.
case_features() {
	local gcm="aead rfc4106(gcm(aes)) $(bits 160) 128"
	local auth="auth-trunc hmac(sha256) $(bits 256) 128"
	echo "esp tunnel encap espinudp 4500 4501 0.0.0.0 $gcm"
	echo "esp tunnel encap espinudp 4500 65535 192.0.2.77 $gcm"
	echo "esp transport encap espinudp 40000 4500 0.0.0.0 $gcm"
	echo "esp tunnel encap espinudp 4500 4500 0.0.0.0 auth-trunc hmac(sha1) $(bits 160) 96 enc cbc(aes) $(bits 128)"
	echo "esp tunnel tfcpad 1300 $gcm"
	echo "esp tunnel tfcpad 1 encap espinudp 4500 4500 0.0.0.0 $gcm"
	echo "esp tunnel replay-window 32 $gcm"
	echo "esp tunnel replay-window 33 $gcm"
	echo "esp tunnel replay-window 64 flag esn $gcm"
	echo "esp transport replay-window 1 flag esn $gcm"
	echo "esp tunnel replay-window 4096 flag esn $gcm"
	echo "ah transport replay-window 128 flag esn $auth"
	echo "ah tunnel replay-window 512 $auth"
	echo "esp tunnel flag af-unspec $gcm"
	echo "esp tunnel flag noecn flag decap-dscp flag nopmtudisc flag icmp flag align4 $gcm"
	echo "ah tunnel flag align4 $auth"
	echo "esp tunnel extra-flag dont-encap-dscp $gcm"
	echo "esp transport sel src 192.0.2.1/32 dst 192.0.2.2/32 proto udp sport 7 dport 9 $gcm"
	echo "esp tunnel sel src 2001:db8::/32 dst 2001:db8:1::/48 $gcm"
	echo "esp tunnel reqid 77 seq 0x12 limit time-soft 100 limit byte-hard 5000 limit packet-hard 7 $gcm"
	echo "esp tunnel output-mark 0x7 mask 0xff $gcm"
}

# Refused by Linux too.
case_faults() {
	local gcm="aead rfc4106(gcm(aes)) $(bits 160) 128"
	local auth="auth-trunc hmac(sha256) $(bits 256) 128"
	local cbc="enc cbc(aes) $(bits 128)"
	echo "esp tunnel aead rfc4106(gcm(aes)) $(bits 160) 80"
	echo "esp tunnel aead rfc4106(gcm(aes)) $(bits 152) 128"
	echo "esp tunnel aead rfc4106(gcm(aes)) $(bits 128) 128"
	echo "esp tunnel aead rfc4309(ccm(aes)) $(bits 160) 128"
	echo "esp tunnel aead rfc4309(ccm(aes)) $(bits 152) 80"
	echo "esp tunnel aead rfc7539esp(chacha20,poly1305) $(bits 160) 128"
	echo "esp tunnel aead rfc7539esp(chacha20,poly1305) $(bits 288) 96"
	echo "esp tunnel aead rfc4543(gcm(aes)) $(bits 160) 96"
	echo "esp tunnel aead rfc9999(foo(aes)) $(bits 160) 128"
	echo "esp tunnel $auth enc foo(aes) $(bits 128)"
	echo "esp tunnel auth-trunc hmac(foo) $(bits 256) 128 $cbc"
	echo "esp tunnel auth-trunc hmac(sha256) $(bits 256) 264 $cbc"
	echo "esp tunnel $auth enc cbc(aes) $(bits 160)"
	echo "esp tunnel $auth enc rfc3686(ctr(aes)) $(bits 128)"
	echo "esp tunnel auth-trunc cmac(aes) $(bits 160) 96 $cbc"
	echo "esp transport tfcpad 1300 $gcm"
	echo "ah tunnel tfcpad 1300 $auth"
	echo "ah tunnel encap espinudp 4500 4500 0.0.0.0 $auth"
	echo "ah transport auth-trunc hmac(foo) $(bits 256) 128"
	echo "esp transport sel src 2001:db8::1/128 dst 2001:db8::2/128 $gcm"
}

cases() {
	case_esp | sed 's/^/4 esp tunnel /'
	case_esp | sed 's/^/6 esp transport /'
	{ case_auths && case_old_auths; } | sed 's/^/4 ah transport /'
	case_auths | sed 's/^/6 ah tunnel /'
	case_features | sed 's/^/4 /'
	case_features | grep -v sel | sed 's/^/6 /'
	case_faults | sed 's/^/4 /'
}

# case_words PROTO MODE WORD...: into the array `words`; parentheses and "" as a shell would take them quoted
case_words() {
	eval "words=(proto $1 spi 0x1000 mode $2 $(sed 's/[()]/\\&/g' <<< "${*:3}"))"
}

# cases_run IP: each case, and what comes of it; of a bitmap the first line is enough
cases_run() {
	local case words ends
	while read -r -a case; do
		ends=(src 192.0.2.1 dst 192.0.2.2)
		[ "${case[0]}" = 6 ] && ends=(src 2001:db8::1 dst 2001:db8::2)
		case_words "${case[@]:1}"
		echo "# ${case[*]}"
		"$1" xfrm state add "${ends[@]}" "${words[@]}" 2>&1
		"$1" xfrm state list 2>&1
		"$1" xfrm state flush
	done < <(cases) | uniq
}
