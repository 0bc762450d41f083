#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""IPv4 and IPv6 packets and their fragments by scapy, for tests that compare byte for byte.

    /usr/bin/python3 tests/vectors/gen_fragments.py > tests/vectors/fragments.json

Every run gives the same file. scapy's fragment() copies all IPv4 options into every fragment, so where
there are options without the copied flag (RFC 791 section 3.1), the pieces are cut here, each a packet
of its own that scapy builds. Fragments are put together again by scapy before they are written.
"""
import hashlib
import json
import sys

from scapy.all import (IP, IPv6, UDP, Raw, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                       IPv6ExtHdrRouting, IPOption_RR, IPOption_Stream_Id, IPOption_Timestamp,
                       IPOption_NOP, IPOption_Security, PadN, defragment, defragment6, fragment6, raw)

ESP = 50
COPIED = [IPOption_Stream_Id(security=77)]
NOT_COPIED = [IPOption_RR(pointer=4, routers=["0.0.0.0", "0.0.0.0"])]


def octets(name, n):
    return hashlib.shake_128(name.encode()).digest(n)


def ipv4(name, payload, **fields):
    header = {"src": "192.0.2.1", "dst": "198.51.100.7", "ttl": 61, "id": 0xabcd, "proto": ESP}
    header.update(fields)
    return IP(raw(IP(**header) / Raw(octets(name, payload))))


def vector(name, mtu, whole, pieces, ident=0):
    return {"name": name, "mtu": mtu, "id": ident, "whole": raw(whole).hex(),
            "pieces": [raw(p).hex() for p in pieces]}


def by_scapy4(name, mtu, payload, **fields):
    whole = ipv4(name, payload, **fields)
    pieces = [IP(raw(p)) for p in whole.fragment(mtu - whole.ihl * 4)]
    assert all(len(p) <= mtu for p in pieces)
    if not fields.get("flags") and not fields.get("frag"):
        assert raw(defragment(pieces)[0]) == raw(whole)
    return vector(name, mtu, whole, pieces)


def by_hand4(name, mtu, payload, first, rest):
    """Options of the first piece, and those that RFC 791 wants in the others."""
    whole, data = ipv4(name, payload, options=first), octets(name, payload)
    pieces, at = [], 0
    while at < payload:
        piece = ipv4(name, 0, options=rest if at else first)
        room = mtu - len(piece)
        last = payload - at <= room
        take = payload - at if last else room & ~7
        fields = {"options": rest if at else first, "flags": "" if last else "MF", "frag": at // 8}
        header = IP(src=piece.src, dst=piece.dst, ttl=piece.ttl, id=piece.id, proto=ESP, **fields)
        pieces.append(header / Raw(data[at:at + take]))
        at += take
    return vector(name, mtu, whole, pieces)


def by_scapy6(name, mtu, payload, ident, before=(), behind=(), proto=ESP):
    def stack(headers, upper):
        packet = IPv6(src="2001:db8:1::1", dst="2001:db8:2::7", hlim=61, tc=0x2a, fl=0x12345)
        for header in headers:
            packet = packet / header.copy()
        return packet / upper

    chain = [*before, *behind]
    data = Raw(octets(name, payload))
    if proto == 17:
        data = UDP(sport=4500, dport=4500) / data
    whole = stack(chain, data)
    cut = stack([*before, IPv6ExtHdrFragment(id=ident), *behind], data)
    if proto != 17:
        last = (behind or before or [None])[-1]
        whole = raw(with_next(whole, last, proto))
        cut = with_next(cut, behind[-1] if behind else cut[IPv6ExtHdrFragment], proto)
    pieces = fragment6(cut, mtu)
    assert all(len(p) <= mtu for p in pieces)
    if not before:
        assert raw(defragment6([IPv6(raw(p)) for p in pieces])) == raw(whole)
    return vector(name, mtu, whole, pieces, ident)


def with_next(packet, header, proto):
    """Names proto in a header of the packet, or in the IPv6 header."""
    layer = packet[type(header)] if header is not None else packet
    layer.nh = proto
    return packet


def main():
    padding = [PadN(optdata=b"\0\0\0\0")]
    hop = IPv6ExtHdrHopByHop(options=padding)
    dst = IPv6ExtHdrDestOpt(options=padding)
    routing = IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8::9"])
    vectors = [
        by_scapy4("v4-two", 1500, 1481),
        by_scapy4("v4-two-full", 1500, 2960),
        by_scapy4("v4-three", 1500, 2961, tos=0xb9),
        by_scapy4("v4-last-fills-odd-mtu", 1499, 1472 + 1479),
        by_scapy4("v4-minimum-mtu", 68, 200),
        by_scapy4("v4-jumbo", 1400, 8980),
        by_scapy4("v4-copied-option", 576, 1200, options=COPIED),
        by_scapy4("v4-last-fragment-again", 576, 1001, frag=185),
        by_scapy4("v4-middle-fragment-again", 576, 1480, frag=185, flags="MF"),
        by_hand4("v4-option-not-copied", 576, 1700, NOT_COPIED + [IPOption_NOP()], []),
        by_hand4("v4-options-mixed", 576, 1700, NOT_COPIED + [IPOption_NOP()] + COPIED, COPIED),
        by_hand4("v4-options-aligned-by-nop", 576, 1700,
                 [IPOption_NOP(), IPOption_Security(), IPOption_Timestamp(), IPOption_NOP()],
                 [IPOption_Security()]),
        by_scapy6("v6-two", 1500, 1461, 1),
        by_scapy6("v6-two-full", 1496, 2896, 0xfffffffe),
        by_scapy6("v6-last-fills-odd-mtu", 1499, 1448 + 1451, 3),
        by_scapy6("v6-udp", 1280, 1300, 4, proto=17),
        by_scapy6("v6-jumbo", 1400, 8960, 5),
        by_scapy6("v6-hop-by-hop", 1280, 2000, 6, before=[hop]),
        by_scapy6("v6-routing", 1280, 2000, 7, before=[hop, dst, routing]),
        by_scapy6("v6-destination-options-cut", 1280, 2000, 8, behind=[dst]),
        by_scapy6("v6-all", 1280, 3000, 9, before=[hop, routing], behind=[dst]),
    ]
    json.dump({"description": "IP fragments by scapy; made by gen_fragments.py",
               "vectors": vectors}, sys.stdout, indent=0)
    print()


if __name__ == "__main__":
    main()
