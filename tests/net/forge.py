#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sends IPv4 packets that are put together by hand: ESP of NULL with HMAC-SHA1-96 (RFC 2410, 2404), AH of HMAC-SHA1-96.

Reads lines from stdin, a packet each: stages from the inside out, separated by "|", the last of them ip:
  udp SPORT DPORT TEXT SRC DST     nosum: without checksum
  icmp TYPE CODE TEXT
  raw PROTOCOL HEX;  text PROTOCOL TEXT;  cat TEXT: more bytes behind what is inside
  esp SPI SEQ KEY                  next=N: next header; pad=HEX: padding in the place of 1, 2, 3 and so on;
                                   bad: a wrong ICV
  natt SPORT DPORT                 ESP in UDP (RFC 3948)
  ah SPI SEQ KEY                   next=N, bad; must be followed by ip
  ip SRC DST                       at=N: a fragment that begins at byte N; more: others follow; ttl=N; df
SPI and SEQ in any base, KEY in hex. KEY of other algorithms would make a packet of garbage, with a wrong ICV.
"""
import hashlib
import hmac
import socket
import struct
import sys

UDP, IPIP, ESP, AH, ICV = 17, 4, 50, 51, 12


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def sign(key, data, options):
    icv = hmac.new(bytes.fromhex(key.removeprefix("0x")), data, hashlib.sha1).digest()[:ICV]
    return bytes([icv[0] ^ 1]) + icv[1:] if "bad" in options else icv


def udp(inner, options, sport, dport, text, src, dst):
    data = text.encode()
    head = struct.pack("!HHH", int(sport), int(dport), 8 + len(data))
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", UDP, 8 + len(data))
    check = 0 if "nosum" in options else checksum(pseudo + head + b"\0\0" + data) or 0xFFFF
    return UDP, head + struct.pack("!H", check) + data


def icmp(inner, options, kind, code, text):
    rest = struct.pack("!HH", 7, 1) + text.encode()
    head = struct.pack("!BB", int(kind), int(code))
    return 1, head + struct.pack("!H", checksum(head + b"\0\0" + rest)) + rest


def raw(inner, options, protocol, text=""):
    return int(protocol), bytes.fromhex(text)


def text(inner, options, protocol, chars):
    return int(protocol), chars.encode()


def cat(inner, options, chars):
    return inner[0], inner[1] + chars.encode()


def esp(inner, options, spi, seq, key):
    proto, data = inner
    pad = bytes(range(1, 1 + -(len(data) + 2) % 4))
    if "pad" in options:
        pad = bytes.fromhex(options["pad"])
    trailer = pad + bytes([int(options.get("padlen", len(pad))), int(options.get("next", proto))])
    packet = struct.pack("!II", int(spi, 0), int(seq, 0)) + data + trailer
    return ESP, packet + sign(key, packet, options)


def natt(inner, options, sport, dport):
    return UDP, struct.pack("!HHHH", int(sport), int(dport), 8 + len(inner[1]), 0) + inner[1]


def ah(inner, options, spi, seq, key):
    proto, data = inner
    head = struct.pack("!BBHII", int(options.get("next", proto)), 4, 0, int(spi, 0), int(seq, 0))
    return AH, (head, data, key, options)


def ip_header(src, dst, proto, length, options, mutable):
    """RFC 4302 section 3.3.3.1.1.1: TOS, flags, offset, TTL and checksum are zero for the ICV."""
    offset = int(options.get("at", 0)) // 8 | ("more" in options) << 13 | ("df" in options) << 14
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0x1234, offset if mutable else 0,
                       int(options.get("ttl", 64)) if mutable else 0, proto, 0)
    head += socket.inet_aton(src) + socket.inet_aton(dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] if mutable else head


def ip(inner, options, src, dst):
    proto, data = inner
    if proto == AH:
        head, body, key, ah_options = data
        covered = ip_header(src, dst, AH, len(head) + ICV + len(body), options, False)
        data = head + sign(key, covered + head + bytes(ICV) + body, ah_options) + body
    return IPIP, ip_header(src, dst, proto, len(data), options, True) + data


STAGES = {f.__name__: f for f in (udp, icmp, raw, text, cat, esp, natt, ah, ip)}


def build(line):
    inner = None
    for stage in line.split("|"):
        name, *words = stage.split()
        options = {w.partition("=")[0]: w.partition("=")[2] for w in words
                   if "=" in w or w in ("bad", "more", "df", "nosum")}
        words = [w for w in words if w.partition("=")[0] not in options]
        inner = STAGES[name](inner, options, *words)
    if inner[0] != IPIP:
        sys.exit("forge: the last stage must be ip: %s" % line)
    return inner[1]


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for line in sys.stdin:
        if line.strip():
            packet = build(line)
            sock.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


main()
