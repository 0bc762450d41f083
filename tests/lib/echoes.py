#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""echoes.py [nodf] SIZES: many pings at once, each an echo request of each size, one after the other.

SIZES: numbers and ranges of payload bytes, 0-33,1472. On stdin a line "NAME SOURCE TARGET" for each ping, all of one
family. Each answer must be byte for byte what was sent. Prints a line a ping: "NAME ok", or "NAME" and
what went wrong first, which ends that ping. nodf: IPv4 without DF. No request is sent twice, so that whoever counts them knows their number.
"""
import os
import select
import socket
import struct
import sys
import time

WAIT = 20               # seconds until an answer is lost
AT_ONCE = 16            # pings; packets in flight must fit every socket's default buffer
# not in Python 3.11: <linux/in.h>, <linux/in6.h>, <linux/icmp.h>, <linux/icmpv6.h>
IP_MTU_DISCOVER, IP_PMTUDISC_OMIT = 10, 5
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER, IP_PKTINFO, IPV6_PKTINFO = 255, 1, 1, 8, 50
ONLY_ECHO_REPLY, ONLY_ECHO_REPLY6 = struct.pack("=I", 0xFFFFFFFE), struct.pack("=8I", *[
    0xFFFFFFFF & ~(1 << 129 - 32 * i if i == 4 else 0) for i in range(8)])


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parse_sizes(text):
    sizes = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        sizes += range(int(first), int(last or first) + 1)
    return sizes


class Ping:
    def __init__(self, line):
        self.name, self.source, self.target = line.split()
        self.seq, self.due, self.wrong = 0, 0, None


class Pinger:
    def __init__(self, pings, sizes, nodf):
        base = os.getpid() << 7 & 0xFFFF
        self.pings, self.sizes = {base + i & 0xFFFF: p for i, p in enumerate(pings)}, sizes
        self.v6 = ":" in pings[0].target
        self.data = os.urandom(max(sizes) + len(sizes))
        for ident, ping in self.pings.items():
            ping.ident = ident
        if self.v6:
            self.sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            self.sock.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, ONLY_ECHO_REPLY6)
        else:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            self.sock.setsockopt(SOL_RAW, ICMP_FILTER, ONLY_ECHO_REPLY)
            if nodf:
                self.sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)     # SO_RCVBUFFORCE
        self.waiting = list(reversed(self.pings.values()))
        self.running, self.answered = set(), False

    def source(self, ping):
        if self.v6:
            return [(socket.IPPROTO_IPV6, IPV6_PKTINFO,
                     socket.inet_pton(socket.AF_INET6, ping.source) + struct.pack("=I", 0))]
        return [(socket.IPPROTO_IP, IP_PKTINFO,
                 struct.pack("=I", 0) + socket.inet_aton(ping.source) + bytes(4))]

    def payload(self, ping):
        return self.data[ping.seq:ping.seq + self.sizes[ping.seq]]

    def send(self, ping):
        if ping.seq == len(self.sizes):
            self.running.discard(ping)
            return
        packet = struct.pack("!BBHHH", 128 if self.v6 else 8, 0, 0, ping.ident, ping.seq) + self.payload(ping)
        if not self.v6:         # the kernel does it for ICMPv6
            packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        ping.due = time.monotonic() + WAIT
        try:
            self.sock.sendmsg([packet], self.source(ping), 0, (ping.target, 0))
        except OSError as e:
            self.fail(ping, e.strerror)

    def fail(self, ping, why):
        size = self.sizes[min(ping.seq, len(self.sizes) - 1)]
        ping.wrong = ping.wrong or "echo of %d bytes: %s" % (size, why)
        self.running.discard(ping)

    def receive(self):
        data, peer = self.sock.recvfrom(65536)
        if not self.v6:
            data = data[(data[0] & 15) * 4:]
        if len(data) < 8:
            return
        ident, seq = struct.unpack("!HH", data[4:8])
        ping = self.pings.get(ident)
        if ping is None or peer[0] != ping.target or ping.wrong:
            return
        if seq != ping.seq:
            self.fail(ping, "an answer came twice or late")
        elif data[8:] != self.payload(ping):
            self.fail(ping, "the answer has other bytes")
        else:
            self.answered = True
            ping.seq += 1
            self.send(ping)

    def run(self):
        while self.waiting or self.running:
            while self.waiting and len(self.running) < AT_ONCE:
                ping = self.waiting.pop()
                self.running.add(ping)
                self.send(ping)
            if select.select([self.sock], [], [], 0.1)[0]:
                self.receive()
                continue
            for ping in [p for p in self.running if time.monotonic() >= p.due]:
                self.fail(ping, "no answer")
                if not self.answered:       # of nobody: the others need not wait as long
                    while self.waiting:
                        self.fail(self.waiting.pop(), "not tried, as nobody answers")


def main():
    pings = [Ping(line) for line in sys.stdin if line.strip()]
    if pings:
        Pinger(pings, parse_sizes(sys.argv[-1]), "nodf" in sys.argv).run()
    for ping in pings:
        print(ping.name, ping.wrong or "ok")


main()
