#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SAs that `ip xfrm state add` has no words for: prints a name and an error number for each."""
import socket
import struct

NETLINK_XFRM = 6
NEWSA = 0x10
REQUEST_ACK = 0x5
ALG_AEAD, REPLAY_ESN_VAL = 18, 23
ESN = 0x80
ESP, AH = 50, 51


def attr(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def aead(name, key, icv_bits):
    return attr(ALG_AEAD, struct.pack("64sII", name, len(key) * 8, icv_bits) + key)


def window(packets, words):
    """A fixed part without its bitmap means an empty one."""
    return attr(REPLAY_ESN_VAL, struct.pack("6I", words, 0, 0, 0, 0, packets))


def usersa(proto, spi, mode, flags):
    """struct xfrm_usersa_info, 192.0.2.1 -> 192.0.2.2"""
    ends = [socket.inet_aton(a) + bytes(12) for a in ("192.0.2.2", "192.0.2.1")]
    sel = struct.pack("32x8xHBBB3xii", socket.AF_INET, 0, 0, 0, 0, 0)
    ident = ends[0] + struct.pack("!I", spi) + struct.pack("B3x", proto)
    limits = struct.pack("4Q4Q", *[2 ** 64 - 1] * 4, *[0] * 4)
    rest = struct.pack("IIHBBB7x", 0, 0, socket.AF_INET, mode, 0, flags)
    body = sel + ident + ends[1] + limits + bytes(32) + bytes(12) + rest
    assert len(body) == 224, len(body)
    return body


def add(sock, name, body, *attrs):
    payload = body + b"".join(attrs)
    sock.send(struct.pack("IHHII", 16 + len(payload), NEWSA, REQUEST_ACK, 1, 0) + payload)
    print(name, struct.unpack_from("i", sock.recv(65536), 16)[0])


def main():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    sock.bind((0, 0))
    gmac = aead(b"rfc4543(gcm(aes))", bytes(range(20)), 128)
    gcm = aead(b"rfc4106(gcm(aes))", bytes(range(20, 40)), 128)
    add(sock, "ah-gmac", usersa(AH, 0x7001, 0, 0), gmac)
    add(sock, "ah-gcm", usersa(AH, 0x7009, 0, 0), gcm)
    add(sock, "window-65536", usersa(ESP, 0x7002, 1, ESN), gcm, window(65536, 2048))
    add(sock, "window-65537", usersa(ESP, 0x7009, 1, ESN), gcm, window(65537, 2049))
    other = aead(b"rfc4106(gcm(aes))", bytes(range(40, 60)), 128)
    add(sock, "no-window", usersa(ESP, 0x7003, 1, ESN), other, window(0, 0))


main()
