#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Numbered datagrams at a constant rate, both ways, until a signal comes; then one line of JSON.

    pace.py PEER RATE       the same runs at PEER; prints what arrived here of what PEER sent

received: datagrams; twice: those that came more than once
holes: runs of lost numbers; those with fewer than RATE / 50 numbers between them are one (20 ms)
lost: numbers in all holes; lost_ms: of the largest hole, its first to its last number as time at the sender
silent_ms: longest time without an arrival
Loss before the first and behind the last arrival is not counted.
"""
import json
import select
import signal
import socket
import sys
import time

PORT = 9000


def holes_of(seen, rate):
    holes = []
    for before, after in zip(seen, seen[1:]):
        if after == before + 1:
            continue
        first, last, lost = before + 1, after - 1, after - before - 1
        if holes and first - holes[-1][1] < rate // 50:
            first, lost = holes[-1][0], lost + holes.pop()[2]
        holes.append((first, last, lost))
    return holes


def main():
    peer, rate = sys.argv[1], int(sys.argv[2])
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)     # SO_RCVBUFFORCE
    s.bind(("0.0.0.0", PORT))
    s.setblocking(False)
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(1))
    print("ready", flush=True)
    got, sent, silent, last = [], 0, 0.0, None
    start = time.monotonic()
    while not stop:
        due = start + sent / rate
        now = time.monotonic()
        if now >= due:
            try:
                s.sendto(sent.to_bytes(8, "big"), (peer, PORT))
            except OSError:
                pass
            sent += 1
            continue
        if not select.select([s], [], [], due - now)[0]:
            continue
        try:
            while True:
                got.append(int.from_bytes(s.recv(64)[:8], "big"))
                now = time.monotonic()
                silent = max(silent, now - last) if last else 0.0
                last = now
        except BlockingIOError:
            pass
    seen = sorted(set(got))
    holes = holes_of(seen, rate)
    widest = max((h[1] - h[0] + 1 for h in holes), default=0)
    print(json.dumps({
        "received": len(got), "twice": len(got) - len(seen), "holes": len(holes),
        "lost": sum(h[2] for h in holes), "lost_ms": round(widest * 1000 / rate, 1),
        "silent_ms": round(silent * 1000, 1)}), flush=True)


main()
