#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ESP tunnel packets made by scapy's IPsec, for tests that compare byte for byte.

    /usr/bin/python3 tests/vectors/gen_esp.py > tests/vectors/esp-gcm.json

Every run gives the same file. The IV is the 64-bit sequence number, as xipsec makes it; the outer
header is what RFC 4301 section 5.1.2 and RFC 6040 section 4.1 ask for: TTL 64, DF copied (set for
IPv6 inside), DSCP and ECN copied, an ID only where a fragment could need one (RFC 6864). Each packet
is opened again with pyca/cryptography, AAD and nonce put together here after RFC 4106, before it is
written.
"""
import hashlib
import itertools
import json
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scapy.all import IP, IPv6, UDP, Raw, raw
from scapy.layers.ipsec import ESP, SecurityAssociation

SADDR = {4: "192.0.2.1", 6: "2001:db8:1::1"}
DADDR = {4: "192.0.2.2", 6: "2001:db8:2::2"}
# (DSCP and ECN, DF) by turns
HEADERS = [(0x00, True), (0xb8, True), (0x02, False), (0x29, True), (0x03, False), (0x48, True)]
PAYLOADS = [0, 1, 2, 3, 22, 241, 1300]


def octets(name, n):
    return hashlib.shake_128(name.encode()).digest(n)


def inner_packet(version, payload, tos, df, name):
    data = UDP(sport=4000, dport=5000) / Raw(octets(name + " payload", payload))
    if version == 4:
        flags = "DF" if df else 0
        return IP(src="10.1.0.5", dst="10.2.0.7", tos=tos, flags=flags, id=0x1234) / data
    return IPv6(src="fd00:1::5", dst="fd00:2::7", tc=tos, hlim=63) / data


def outer_header(outer, inner, tos, df, seq):
    if outer == 6:
        return IPv6(src=SADDR[6], dst=DADDR[6], tc=tos, hlim=64)
    df = df or inner == 6
    return IP(src=SADDR[4], dst=DADDR[4], tos=tos, ttl=64, flags="DF" if df else 0,
              id=0 if df else seq & 0xffff)


def open_again(esp, key, salt, esn, seq):
    aad = esp[:4] + (struct.pack("!Q", seq) if esn else esp[4:8])
    gcm = modes.GCM(salt + esp[8:16], esp[-16:])
    cipher = Cipher(algorithms.AES(key), gcm).decryptor()
    cipher.authenticate_additional_data(aad)
    return cipher.update(esp[16:-16]) + cipher.finalize()


def vector(outer, inner, bits, esn, payload, number):
    name = f"v{inner}-in-v{outer}-gcm{bits}-{'esn' if esn else 'seq32'}-udp{payload}"
    tos, df = HEADERS[number % len(HEADERS)]
    seq = 0xfffffff0 + number if esn else 1 + number * 1000
    spi = 0x10000000 + number
    key, salt = octets(name + " key", bits // 8), octets(name + " salt", 4)
    clear = raw(inner_packet(inner, payload, tos, df, name))
    # seq_num of the SA too: scapy 2.5 takes a seq_num=0 of encrypt() for "not given"
    sa = SecurityAssociation(ESP, spi=spi, seq_num=seq & 0xffffffff, crypt_algo="AES-GCM",
                             crypt_key=key + salt,
                             tunnel_header=outer_header(outer, inner, tos, df, seq))
    sealed = raw(sa.encrypt((IP if inner == 4 else IPv6)(clear), seq_num=seq & 0xffffffff,
                            iv=struct.pack("!Q", seq), esn_en=esn, esn=seq >> 32))
    esp = sealed[20 if outer == 4 else 40:]
    opened = open_again(esp, key, salt, esn, seq)
    assert opened.startswith(clear) and opened[-1] == (4 if inner == 4 else 41)
    return {"name": name, "outer": outer, "inner": inner, "esn": esn, "spi": spi, "seq": seq,
            "key": (key + salt).hex(), "saddr": SADDR[outer], "daddr": DADDR[outer],
            "clear": clear.hex(), "sealed": sealed.hex()}


def main():
    vectors = []
    kinds = itertools.product((4, 6), (4, 6), (128, 192, 256), (False, True))
    for outer, inner, bits, esn in kinds:
        turn = len(vectors)
        for i in range(3):
            payload = PAYLOADS[(turn + 3 * i) % len(PAYLOADS)]
            vectors.append(vector(outer, inner, bits, esn, payload, len(vectors)))
    description = "ESP tunnel packets by scapy; made by gen_esp.py"
    json.dump({"description": description, "vectors": vectors}, sys.stdout, indent=0)
    print()


if __name__ == "__main__":
    main()
