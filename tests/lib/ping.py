#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ping -q for tests that count losses: waits -W seconds for the last answers.

iputils' ping gives the last ones twice the longest round trip so far, which is next to nothing on a
veth, and calls lost what a busy machine delivers later. Options: -q -c -i -W -I -s; with others the
system's ping is run.
"""
import getopt
import os
import select
import socket
import struct
import sys
import time


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Echo:
    def __init__(self, target, source, size):
        self.v6 = ":" in target
        self.target, self.ident, self.data = target, os.getpid() & 0xFFFF, bytes(size)
        family, proto = ((socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else
                         (socket.AF_INET, socket.IPPROTO_ICMP))
        self.sock = socket.socket(family, socket.SOCK_RAW, proto)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)     # SO_RCVBUFFORCE
        if source and any(c in source for c in ".:"):
            self.sock.bind((source, 0))
        elif source:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode())

    def send(self, seq):
        kind = 128 if self.v6 else 8
        packet = struct.pack("!BBHHH", kind, 0, 0, self.ident, seq & 0xFFFF) + self.data
        if not self.v6:         # the kernel does it for ICMPv6
            packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        try:
            self.sock.sendto(packet, (self.target, 0))
        except OSError as e:    # counts as sent and not answered
            print("ping: %s" % e.strerror, file=sys.stderr)

    def receive(self):
        """Sequence number of an answer, None: something else."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return None
        if not self.v6:
            data = data[(data[0] & 15) * 4:]
        if len(data) < 8 or data[0] != (129 if self.v6 else 0):
            return None
        ident, seq = struct.unpack("!HH", data[4:8])
        return seq if ident == self.ident else None


def run(echo, count, interval, wait):
    sent, answered, twice = 0, set(), 0
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if sent < count and now >= due:
            echo.send(sent)
            sent += 1
            due = max(due + interval, now) if sent < count else now + wait
            continue
        if sent == count and (len(answered) == count or now >= due):
            return sent, len(answered), twice
        if select.select([echo.sock], [], [], max(due - now, 0))[0]:
            seq = echo.receive()
            twice += seq in answered
            if seq is not None:
                answered.add(seq)


def main():
    try:
        options, rest = getopt.getopt(sys.argv[1:], "qc:i:W:I:s:")
        (target,) = rest
        options = dict(options)
        count = int(options["-c"])
        if count >= 1 << 16 or "-q" not in options:
            raise ValueError
    except (getopt.GetoptError, KeyError, ValueError):
        os.execvp("ping", ["ping"] + sys.argv[1:])
    print("PING %s: %d packets" % (target, count), flush=True)
    echo = Echo(target, options.get("-I"), int(options.get("-s", 56)))
    sent, got, twice = run(echo, count, float(options.get("-i", 1)), float(options.get("-W", 10)))
    print("\n--- %s ping statistics ---" % target)
    print("%d packets transmitted, %d received, %s%g%% packet loss" %
          (sent, got, "+%d duplicates, " % twice if twice else "", 100 - 100 * got / sent))
    sys.exit(got == 0)


main()
