#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is inside the ESP packets of one SA in a capture, by pyca/cryptography alone.

  dummies.py PCAP SPI KEY          KEY: hex of an AES-GCM key and salt (RFC 4106)

A line a packet: its IP header but for length and checksum, in hex; bytes of ESP; next header; payload
bytes without padding. Fails when an ICV is wrong, padding is not 1, 2, 3 ..., or an IV comes twice.
"""
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ETH = 14
HEADER = {4: 20, 6: 40}


def packets(path):
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at < len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        yield data[at + 16 + ETH:at + 16 + length]
        at += 16 + length


def esp_of(ip):
    version = ip[0] >> 4
    if version not in HEADER:
        return None, None
    proto, total = ((ip[9], struct.unpack_from("!H", ip, 2)[0]) if version == 4 else
                    (ip[6], 40 + struct.unpack_from("!H", ip, 4)[0]))
    head = ip[:HEADER[version]]
    return (head, ip[len(head):total]) if proto == 50 else (None, None)


def shown(head):
    """An IPv4 header without length and checksum, an IPv6 header without length."""
    return head[:2] + head[4:10] + head[12:] if head[0] >> 4 == 4 else head[:4] + head[6:]


def main():
    spi, key = int(sys.argv[2], 0), bytes.fromhex(sys.argv[3].removeprefix("0x"))
    seen = set()
    for ip in packets(sys.argv[1]):
        head, esp = esp_of(ip)
        if not esp or struct.unpack_from("!I", esp)[0] != spi:
            continue
        iv = esp[8:16]
        if iv in seen:
            sys.exit("an IV was used twice")
        seen.add(iv)
        plain = AESGCM(key[:-4]).decrypt(key[-4:] + iv, esp[16:], esp[:8])
        pad, after = plain[-2], plain[-1]
        if plain[len(plain) - 2 - pad:-2] != bytes(range(1, pad + 1)):
            sys.exit("padding is not 1, 2, 3 ...")
        print(shown(head).hex(), len(esp), after, len(plain) - 2 - pad)


main()
