#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Numbered datagrams between namespaces, both ways, until SIGTERM; then none is under way any more, and all are counted.

    flow.py RATE NAMESPACE:ADDRESS=NAMESPACE:ADDRESS...

One process has all the sockets, so that what was sent and what arrived are the same numbers. RATE: of each direction of
each pair, datagrams a second. Prints "running" when a datagram has arrived in every direction (those that were lost before
are not counted), and at the end a line of JSON a direction: sent, received, twice, lost, and the first losses, as
numbers and seconds since the start. Exit status: 0 when each arrived once. In the environment, FLOW_WAIT: seconds for the
last to arrive; FLOW_WINDOW: so many datagrams of a direction are under way at most, for a receiver that may get less of
the CPU than it needs. With that many only ten a second are sent: an outage ends the pause as soon as it is over.
"""
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
PORT = 9100
WAIT = float(os.environ.get("FLOW_WAIT", 10))
WINDOW = float(os.environ.get("FLOW_WINDOW", "inf"))
PROBE = 0.1         # seconds


def in_namespace(name):
    with open("/run/netns/" + name, "rb") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + name)


def open_end(text, port):
    name, address = text.split(":", 1)
    in_namespace(name)
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)     # SO_RCVBUFFORCE
    s.bind((address, port))
    s.setblocking(False)
    return s, (address, port), name


class Way:
    def __init__(self, source, target):
        self.sock, self.name = source[0], "%s to %s" % (source[2], target[2])
        self.target, self.sent, self.at = target[1], 0, []
        self.seen, self.twice, self.first, self.newest, self.refused = set(), 0, None, 0, 0

    # queues keep order: what was sent before the newest that arrived is not under way any more
    def is_full(self, now):
        return self.first is not None and self.sent - self.newest > WINDOW and now < self.at[-1] + PROBE

    def send(self, now):
        if self.is_full(now):
            return
        try:
            self.sock.sendto(b"%d" % self.sent, self.target)
        except OSError:         # what the stack refuses is lost
            self.refused += 1
        self.at.append(now)
        self.sent += 1

    def take(self, data):
        n = int(data)
        if self.first is None:
            self.first = n
        if n in self.seen:
            self.twice += 1
        self.seen.add(n)
        self.newest = max(self.newest, n)

    def lost(self):
        return [n for n in range(self.first or 0, self.sent) if n not in self.seen]

    def report(self, start):
        lost = self.lost()
        return {"way": self.name, "sent": self.sent - (self.first or 0), "received": len(self.seen), "twice": self.twice,
                "lost": len(lost), "refused": self.refused,
                "losses": [[n, round(self.at[n] - start, 2)] for n in lost[:8]]}


def receive(ways, seconds):
    for s in select.select(list(ways), [], [], max(seconds, 0))[0]:
        try:
            while True:
                ways[s].take(s.recv(64))
        except OSError:         # nothing more, or an ICMP error of an earlier datagram
            pass


def main():
    rate, ways = float(sys.argv[1]), {}
    for i, pair in enumerate(sys.argv[2:]):
        a, b = (open_end(text, PORT + i) for text in pair.split("="))
        # by the socket that receives
        ways[b[0]], ways[a[0]] = Way(a, b), Way(b, a)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    start, n, running = time.monotonic(), 0, False
    while not stop:
        now = time.monotonic()
        if now < start + n / rate:
            receive(ways, start + n / rate - now)
            continue
        for way in ways.values():
            way.send(now)
        # a machine that was busy is not made up for by a burst
        n += 1
        if now > start + n / rate + 0.1:
            start = now - n / rate
        receive(ways, 0)
        if not running and all(w.first is not None for w in ways.values()):
            running = True
            print("running", flush=True)
    due = time.monotonic() + WAIT
    while time.monotonic() < due and any(w.lost() for w in ways.values()):
        receive(ways, 0.1)
    reports = [w.report(min(w.at[0] for w in ways.values())) for w in ways.values()]
    for r in reports:
        print(json.dumps(r))
    sys.exit(not running or any(r["lost"] or r["twice"] or not r["received"] for r in reports))


main()
