#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""UDP datagrams protected by scapy, sent in fragments of every kind, and whether they were answered.

  esp_pieces.py send KIND OUTER SPI KEY INNER-SOURCE INNER-TARGET PORT CASE...
      KIND: esp, udp (ESP in UDP) or ah, in tunnel mode; OUTER: SOURCE,TARGET; KEY: hex, AES-GCM's with salt or that of
      HMAC-SHA-256. Sends one datagram a case, and prints a line for each: "CASE answered" or "CASE silent":
      whole, ordered, reversed, twice (each piece), overlap (another second piece over the end of the first), hole (no
      second piece), many:N (N datagrams in three pieces each, 50 on their way)
      INNER-SOURCE is an address here: answers come in clear
  esp_pieces.py flood OUTER SECONDS [spread]
      first pieces of ESP packets of which nothing follows; spread: each from another source
"""
import hashlib
import logging
import os
import random
import socket
import struct
import sys
import time

IPV6_HDRINCL = 36
PIECE = 496                     # bytes
FLOOD_PAUSE = 0.0002


def raw_sockets():
    tx4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    tx6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    tx6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
    for sock in tx4, tx6:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return {4: tx4, 6: tx6}


def piece_of(source, target, proto, ident, offset, data, more):
    """One fragment; the kernel makes IPv4's checksum."""
    if ":" in source:
        fragment = struct.pack("!BBHI", proto, 0, offset | more, ident)
        return struct.pack("!IHBB", 6 << 28, len(data) + 8, 44, 64) + socket.inet_pton(
            socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) + fragment + data
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), ident & 0xffff, offset // 8 | more << 13, 64, proto,
                       0) + socket.inet_aton(source) + socket.inet_aton(target) + data


class Protector:
    def __init__(self, kind, outer, spi, key):
        logging.getLogger("scapy").setLevel(logging.ERROR)
        from scapy.layers import inet, inet6, ipsec
        self.inet, self.inet6, self.kind = inet, inet6, kind
        self.source, self.target = outer.split(",")
        self.v6 = ":" in self.source
        header = (inet6.IPv6 if self.v6 else inet.IP)(src=self.source, dst=self.target)
        if kind == "ah":
            self.sa = ipsec.SecurityAssociation(ipsec.AH, spi=spi, auth_algo="SHA2-256-128", auth_key=key,
                                                tunnel_header=header)
        else:
            self.sa = ipsec.SecurityAssociation(ipsec.ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=key,
                                                tunnel_header=header)
        self.proto = {"esp": 50, "udp": 17, "ah": 51}[kind]

    def datagram(self, source, target, sport, dport, data, ident):
        """What follows the outer header."""
        if ":" in source:
            ip = self.inet6.IPv6(src=source, dst=target)
        else:
            ip = self.inet.IP(src=source, dst=target)
        outer = self.sa.tunnel_header
        if not self.v6:
            outer.id = ident & 0xffff   # AH protects it
        protected = bytes(self.sa.encrypt(ip / self.inet.UDP(sport=sport, dport=dport) / data))
        body = protected[40 if self.v6 else 20:]
        if self.kind != "udp":
            return body
        udp = self.inet.UDP(sport=4500, dport=4500, chksum=None if self.v6 else 0)
        base = type(outer)(src=self.source, dst=self.target)
        return bytes(base / udp / body)[40 if self.v6 else 20:]


class Sender:
    def __init__(self, kind, outer, spi, key, source, target, port):
        self.protector = Protector(kind, outer, int(spi, 0), bytes.fromhex(key.removeprefix("0x")))
        self.target, self.port, self.source = target, int(port), source
        self.raw = raw_sockets()[6 if self.protector.v6 else 4]
        self.sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.settimeout(0.5)
        self.protector.sa.seq_num = int(time.monotonic() * 1000)    # beyond that of one that ran before
        self.ident = random.randrange(1 << 15)

    def make(self, length=1300):
        """(its answer, its pieces)"""
        data = os.urandom(length)
        self.ident += 1
        body = self.protector.datagram(self.source, self.target, self.sock.getsockname()[1], self.port, data, self.ident)
        pieces = [self.piece(body, at, PIECE) for at in range(0, len(body), PIECE)]
        return struct.pack("!I", length) + hashlib.sha256(data).digest(), pieces, body

    def piece(self, body, at, length):
        p = self.protector
        return piece_of(p.source, p.target, p.proto, self.ident, at, body[at:at + length], at + length < len(body))

    def send(self, piece):
        while True:
            try:
                self.raw.sendto(piece, (self.protector.target, 0))
                return
            except (BlockingIOError, OSError) as e:
                if e.errno not in (11, 105):    # EAGAIN, ENOBUFS
                    raise

    def answered(self, wanted, seconds):
        due = time.monotonic() + seconds
        while wanted and time.monotonic() < due:
            try:
                wanted.discard(self.sock.recv(65536))
            except TimeoutError:
                pass
        return not wanted

    def case(self, name):
        name, _, n = name.partition(":")
        if name == "many":
            return self.many(int(n))
        answer, pieces, body = self.make(300 if name == "whole" else 1300)
        if name == "whole":
            pieces = [self.piece(body, 0, len(body))]
        elif name == "reversed":
            pieces.reverse()
        elif name == "twice":       # the last is the only one that does not find its packet
            pieces = [p for p in pieces[:-1] for _ in range(2)] + pieces[-1:]
        elif name == "overlap":
            pieces[1] = self.piece(body[:PIECE - 8] + bytes(8) + body[PIECE:], PIECE - 8, PIECE + 8)
        elif name == "hole":
            del pieces[1]
        for piece in pieces:
            self.send(piece)
        return self.answered({answer}, 0.5 if name in ("overlap", "hole") else 10)

    def many(self, n):
        for _ in range(0, n, 50):
            wanted = set()
            for _ in range(50):
                answer, pieces, _ = self.make()
                wanted.add(answer)
                for piece in pieces:
                    self.send(piece)
            if not self.answered(wanted, 5):
                print("%d of 50 missing" % len(wanted))
                return False
        return True


def flood(outer, seconds, spread=None):
    source, target = outer.split(",")
    raw = raw_sockets()[6 if ":" in source else 4]
    data, due, sent = os.urandom(1200), time.monotonic() + float(seconds), 0
    while time.monotonic() < due:
        if spread and ":" in source:
            source = "2001:db8:%x:%x::1" % (random.randrange(1 << 16), random.randrange(1 << 16))
        elif spread:
            source = "198.18.%d.%d" % (random.randrange(256), random.randrange(256))
        try:
            raw.sendto(piece_of(source, target, 50, sent, 0, data, 1), (target, 0))
            sent += 1
        except OSError:
            pass
        if not sent % 16:
            time.sleep(16 * FLOOD_PAUSE)
    print(sent)


def main():
    command, *args = sys.argv[1:]
    if command == "flood":
        flood(*args)
        return
    sender = Sender(*args[:7])
    for case in args[7:]:
        print(case, "answered" if sender.case(case) else "silent", flush=True)


main()
