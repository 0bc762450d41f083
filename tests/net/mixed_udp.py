#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One UDP flow of packets of all sizes; every byte and the order are checked where it arrives.

    mixed_udp.py receive ADDRESS PORT          until the sender says that it has ended; prints the counts as JSON
    mixed_udp.py send ADDRESS PORT COUNT PPS SIZE[-SIZE]...

A packet is its number, the number of bytes behind it, and a piece of a fixed random block that depends on the number.
Sizes count the IP packet.
"""
import json
import random
import socket
import struct
import sys
import time

BLOCK = random.Random(9000).randbytes(1 << 16)
END = b"the end"
PATIENCE = 10


def body(number, size):
    at = number * 4099 % (len(BLOCK) - 10000)
    return BLOCK[at:at + size]


def open_socket(address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 16 << 20)
    return sock


def receive(address, port):
    sock = open_socket(address)
    sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)    # SO_RCVBUFFORCE
    sock.bind((address, port))
    sock.settimeout(PATIENCE)
    counts = {"received": 0, "wrong": 0, "out_of_order": 0, "short": 0, "long": 0}
    last = -1
    while True:
        try:
            data = sock.recv(65536)
        except socket.timeout:
            break
        if data == END:
            break
        number, size = struct.unpack("!IH", data[:6])
        if size != len(data) - 6 or data[6:] != body(number, size):
            counts["wrong"] += 1
        counts["out_of_order"] += number <= last
        last = number
        counts["received"] += 1
        counts["long" if len(data) > 3500 else "short"] += 1
    print(json.dumps(counts))


def send(address, port, count, pps, *words):
    sock = open_socket(address)
    sock.setsockopt(socket.IPPROTO_IP, 10, 2)           # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    sock.connect((address, int(port)))
    overhead = (48 if ":" in address else 28) + 6
    spans = [[int(n) for n in word.split("-")] for word in words]
    start = time.monotonic()
    for number in range(int(count)):
        span = random.choice(spans)
        size = random.randint(span[0], span[-1]) - overhead
        sock.send(struct.pack("!IH", number, size) + body(number, size))
        ahead = start + number / int(pps) - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)
    for _ in range(3):
        time.sleep(0.3)
        try:
            sock.send(END)
        except ConnectionRefusedError:
            break                                       # it has ended


if sys.argv[1] == "send":
    send(*sys.argv[2:])
else:
    receive(sys.argv[2], int(sys.argv[3]))
