#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
migrate.py DIR SRC DST BITS REQID OLD-SRC OLD-DST NEW-SRC NEW-DST: MIGRATE of the policy of this direction and selector (IPv4)
and of its SA of ESP in tunnel mode. Run it by gwip. Prints the error number.
"""
import socket
import struct
import sys

MIGRATE, MIGRATE_ATTR, ESP, TUNNEL = 33, 17, 50, 1


def addr(text):
    return socket.inet_aton(text).ljust(16, b"\0")


def main():
    direction, src, dst, bits, reqid, *ends = sys.argv[1:]
    old_src, old_dst, new_src, new_dst = map(addr, ends)
    sel = addr(dst) + addr(src) + struct.pack("8xHBBB3xii", socket.AF_INET, int(bits), int(bits), 0, 0, 0)
    policy = sel + struct.pack("IB3x", 0, ("in", "out", "fwd").index(direction))
    item = old_dst + old_src + new_dst + new_src + struct.pack("BBHIHH", ESP, TUNNEL, 0, int(reqid, 0), socket.AF_INET, socket.AF_INET)
    payload = policy + struct.pack("HH", 4 + len(item), MIGRATE_ATTR) + item
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)
    sock.bind((0, 0))
    sock.send(struct.pack("IHHII", 16 + len(payload), MIGRATE, 5, 1, 0) + payload)
    print(struct.unpack_from("i", sock.recv(4096), 16)[0])


main()
