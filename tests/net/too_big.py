#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sends "fragmentation needed" and "packet too big" about packets that somebody may have sent.

Reads lines from stdin, in order: TO MTU SRC DST KIND SPI SEQ [KEY=VALUE...]
TO is who gets it; SRC, DST, SPI and SEQ (or -: the quote ends before it) are of the quoted packet;
KIND is esp, ah or udp (ESP in UDP, ports 4500; SPI -: the quote ends behind the ports).
len=N: length of the quoted packet (1400); code=N, type=N: of the ICMP message.
"""
import socket
import struct
import sys


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def numbers(*values):
    """As far as they are quoted."""
    out = b""
    for value in values:
        if value == "-":
            break
        out += struct.pack("!I", int(value, 0))
    return out


def upper(kind, spi, seq, length):
    if kind == "esp":
        return 50, numbers(spi, seq)
    if kind == "ah":
        return 51, struct.pack("!BBH", 4, 4, 0) + numbers(spi, seq)
    return 17, struct.pack("!HHHH", 4500, 4500, length, 0) + numbers(spi, seq)


def main():
    sock4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    for line in sys.stdin:
        if not line.strip():
            continue
        to, mtu, src, dst, kind, spi, seq, *rest = line.split()
        options = dict(o.split("=") for o in rest)
        length = int(options.get("len", 1400))
        v6 = ":" in to
        proto, payload = upper(kind, spi, seq, length - (40 if v6 else 20))
        if v6:
            quote = struct.pack("!IHBB", 6 << 28, length - 40, proto, 60)
            quote += socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
            message = struct.pack("!BBHI", int(options.get("type", 2)), 0, 0, int(mtu))
            sock6.sendto(message + quote + payload, (to, 0))
            continue
        quote = struct.pack("!BBHHHBBH", 0x45, 0, length, 7, 0x4000, 60, proto, 0)
        quote += socket.inet_aton(src) + socket.inet_aton(dst)
        head = struct.pack("!BBHHH", int(options.get("type", 3)), int(options.get("code", 4)), 0, 0, int(mtu))
        message = head + quote + payload
        sock4.sendto(message[:2] + struct.pack("!H", checksum(message)) + message[4:], (to, 0))


main()
