#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Echo requests of many sizes, each of random bytes of its own; answers are compared byte for byte.

    echo_sizes.py [-w WINDOW] [-c ROUNDS] [-f] [-I SOURCE] TARGET SIZE[-SIZE[/STEP]]...

SIZE counts the IP packet. Packets are never fragmented unless -f is given. WINDOW (16): not more on their way at once.
Prints what was lost or wrong; ends with 0 when all answers came and were right.
"""
import getopt
import os
import random
import select
import socket
import struct
import sys
import time

PATIENCE = 3        # seconds without an answer: the rest is lost
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, DONT, DO = 10, 23, 0, 2


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Echo:
    def __init__(self, target, source, fragment):
        self.v6, self.target = ":" in target, target
        self.header = 48 if self.v6 else 28
        family, proto = ((socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else
                         (socket.AF_INET, socket.IPPROTO_ICMP))
        self.sock = socket.socket(family, socket.SOCK_RAW, proto)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)     # SO_RCVBUFFORCE
        self.sock.setsockopt(socket.IPPROTO_IPV6 if self.v6 else socket.IPPROTO_IP,
                             IPV6_MTU_DISCOVER if self.v6 else IP_MTU_DISCOVER, DONT if fragment else DO)
        if source:
            self.sock.bind((source, 0))
        self.ident = os.getpid() & 0xFFFF

    def send(self, seq, payload):
        packet = struct.pack("!BBHHH", 128 if self.v6 else 8, 0, 0, self.ident, seq) + payload
        if not self.v6:     # the kernel does it for ICMPv6
            packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        self.sock.sendto(packet, (self.target, 0))

    def receive(self):
        data = self.sock.recv(65536)
        if not self.v6:
            data = data[(data[0] & 15) * 4:]
        if len(data) < 8 or data[0] != (129 if self.v6 else 0):
            return None, b""
        ident, seq = struct.unpack("!HH", data[4:8])
        return (seq, data[8:]) if ident == self.ident else (None, b"")


def sizes_of(words):
    for word in words:
        span, _, step = word.partition("/")
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1, int(step or 1))


def run(echo, sizes, window):
    waiting, at, bad, heard = {}, 0, 0, time.monotonic()
    while at < len(sizes) or waiting:
        if at < len(sizes) and len(waiting) < window:
            payload = random.randbytes(sizes[at] - echo.header)
            waiting[at & 0xFFFF] = (sizes[at], payload)
            echo.send(at & 0xFFFF, payload)
            at += 1
            continue
        if not select.select([echo.sock], [], [], PATIENCE)[0] or time.monotonic() > heard + PATIENCE:
            for size, _ in waiting.values():
                print("lost: %d bytes" % size)
            bad += len(waiting)
            waiting.clear()
            heard = time.monotonic()
            continue
        seq, data = echo.receive()
        if seq not in waiting:
            continue
        heard = time.monotonic()
        size, payload = waiting.pop(seq)
        if data != payload:
            bad += 1
            print("wrong bytes: %d" % size)
    return bad


def main():
    options, rest = getopt.getopt(sys.argv[1:], "w:c:I:f")
    options = dict(options)
    sizes = list(sizes_of(rest[1:])) * int(options.get("-c", 1))
    random.shuffle(sizes)
    echo = Echo(rest[0], options.get("-I"), "-f" in options)
    bad = run(echo, sizes, int(options.get("-w", 16)))
    print("%d sizes, %d bad" % (len(sizes), bad))
    sys.exit(bad > 0)


main()
