#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""again.py PCAP SPI DEV BACK...

Sends frames of an SA (ESP in IPv4 on Ethernet) by DEV once more, as they are in the capture: the last one (BACK 0), or
the one so many before it. Numbers must follow each other without a gap that far back; says them.
"""
import socket
import struct
import sys


def frames(path):
    data = open(path, "rb").read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        size, = struct.unpack_from(order + "I", data, at + 8)
        if at + 16 + size > len(data):
            return
        yield data[at + 16:at + 16 + size]
        at += 16 + size


def esp(frame, spi):
    """The low half of its sequence number, if it is a packet of this SA."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 50:
        return None
    at = 14 + (frame[14] & 15) * 4
    number, seq = struct.unpack_from(">II", frame, at)
    return seq if number == spi else None


def main():
    path, spi, dev, *backs = sys.argv[1:]
    sent = [(esp(frame, int(spi, 0)), frame) for frame in frames(path)]
    sent = [(seq, frame) for seq, frame in sent if seq is not None]
    by_seq = dict(sent)
    last = max(by_seq)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((dev, 0))
    for back in map(int, backs):
        if not all(seq in by_seq for seq in range(last - back, last + 1)):
            sys.exit(f"again.py: the {back} numbers before {last} are not all in the capture")
        sock.send(by_seq[last - back])
    print(*(last - int(back) for back in backs))


main()
