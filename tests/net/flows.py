#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""UDP flows side by side, each datagram numbered in its flow.

    flows.py receive ADDRESS FLOWS EACH SEEN    prints "ready", then "lost N twice N overtaken N"
    flows.py send ADDRESS FLOWS EACH SEEN       one datagram of each flow, then the next of each

SEEN is a file in which the receiver counts what has come: the sender has no more than WINDOW on their way, for a gateway
that gets no CPU must not lose what a ring cannot hold. Where nothing comes for a while, the sender takes what is on its way for lost.
"""
import mmap
import os
import select
import socket
import struct
import sys
import time

WINDOW = 256
PATIENCE = 3 * int(os.environ.get("XIPSEC_SLOW", 1))        # seconds
PORT = 9000


def counter(path):
    with open(path, "r+b") as f:
        return memoryview(mmap.mmap(f.fileno(), 8)).cast("Q")


def receive(address, flows, each, path):
    with open(path, "wb") as f:
        f.write(bytes(8))
    count = counter(path)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)        # SO_RCVBUFFORCE
    sock.bind((address, PORT))
    print("ready", flush=True)
    last, seen, twice, overtaken = [-1] * flows, set(), 0, 0
    while len(seen) < flows * each and select.select([sock], [], [], PATIENCE)[0]:
        flow, k = struct.unpack("!II", sock.recv(64))
        twice += (flow, k) in seen
        overtaken += k < last[flow]
        seen.add((flow, k))
        last[flow] = k
        count[0] += 1
    while select.select([sock], [], [], 0.2)[0]:
        twice += sock.recv(64) is not None
    print("lost", flows * each - len(seen), "twice", twice, "overtaken", overtaken, flush=True)


def send(address, flows, each, path):
    count = counter(path)
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    for sock in socks:
        sock.connect((address, PORT))
    sent = given_up = 0
    for k in range(each):
        for flow, sock in enumerate(socks):
            sock.send(struct.pack("!II", flow, k))
        sent += flows
        came, since = count[0], time.monotonic()
        while sent - given_up - count[0] > WINDOW - flows:
            select.select([], [], [], 0.001)
            if count[0] != came:
                came, since = count[0], time.monotonic()
            elif time.monotonic() - since > PATIENCE / 3:
                given_up = sent - came


def main():
    role, address, flows, each, path = sys.argv[1:]
    {"receive": receive, "send": send}[role](address, int(flows), int(each), path)


main()
