#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""AH packets made by scapy's IPsec, for tests that compare byte for byte.

    /usr/bin/python3 tests/vectors/gen_ah.py > tests/vectors/ah.json

Every run gives the same file. Tunnel mode: the outer header is what RFC 4301 section 5.1.2 and RFC
6040 section 4.1 ask for, as in gen_esp.py. Transport mode: IPv4 with options, IPv6 with extension
headers. AH on IPv4 is padded to 4 octets (Linux: flag align4). Each ICV is computed again with
Python's own hmac over bytes that are zeroed here, by offset, before the packet is written.

scapy takes every IPv4 source route for one that is done, and every IPv6 one that names addresses
for one that has not begun: other routes are not here.
"""
import hashlib
import hmac
import itertools
import json
import struct
import sys

from scapy.all import IP, IPv6, UDP, Raw, raw
from scapy.layers.inet import (IPOption, IPOption_Router_Alert, IPOption_RR, IPOption_Security,
                               IPOption_Timestamp, IPOption_NOP, IPOption_EOL, IPOption_LSRR,
                               IPOption_Traceroute, IPOption_SDBM)
from scapy.layers.inet6 import (HBHOptUnknown, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting, Pad1, PadN, RouterAlert)
from scapy.layers.ipsec import AH, SecurityAssociation

SADDR = {4: "192.0.2.1", 6: "2001:db8:1::1"}
DADDR = {4: "192.0.2.2", 6: "2001:db8:2::2"}
HEADERS = [(0x00, True), (0xb8, True), (0x02, False), (0x29, True), (0x03, False), (0x48, True)]
PAYLOADS = [0, 1, 2, 3, 22, 241, 1300]
# scapy's name, ours, key, ICV, Python's hash (none: AES-CMAC is scapy's alone)
AUTHS = [("HMAC-SHA1-96", "sha1", 20, 12), ("SHA2-256-128", "sha256", 32, 16),
         ("SHA2-384-192", "sha384", 48, 24), ("SHA2-512-256", "sha512", 64, 32),
         ("AES-CMAC-96", "cmac", 16, 12)]


def options4():
    """Name, options, and the offsets of those that are mutable."""
    return [
        ("none", [], []),
        ("alert", [IPOption_Router_Alert()], []),
        ("security", [IPOption_Security()], []),
        ("record", [IPOption_NOP(), IPOption_RR(length=11, pointer=4, routers=["0.0.0.0"] * 2)],
         [(21, 32)]),
        ("stamp", [IPOption_Timestamp(length=12, pointer=9, flg=0, timestamp=0x1020304),
                   IPOption_EOL()], [(20, 32)]),
        ("routed", [IPOption_LSRR(length=7, pointer=8, routers=["10.9.9.9"]), IPOption_NOP()],
         [(20, 27)]),
        ("trace", [IPOption_Traceroute(), IPOption_Router_Alert()], [(20, 32)]),
        ("sdbm", [IPOption_SDBM(addresses=["10.3.3.3"]), IPOption_EOL()], []),
        ("mixed", [IPOption_Router_Alert(), IPOption(b"\x5e\x06\x01\x02\x03\x04"), IPOption_NOP(),
                   IPOption_EOL()], [(24, 30)]),
    ]


def hop(*opts):
    return IPv6ExtHdrHopByHop(autopad=0, options=list(opts))


def dest(*opts):
    return IPv6ExtHdrDestOpt(autopad=0, options=list(opts))


def chains6():
    """Name, extension headers, and the offsets of mutable bytes in front of AH."""
    fixed = HBHOptUnknown(otype=0x1e, optdata=b"abcd")
    changing = HBHOptUnknown(otype=0x3e, optdata=b"efgh")
    route = IPv6ExtHdrRouting(type=0, segleft=2, addresses=["fd00:a::1", "fd00:a::2"])
    done = IPv6ExtHdrRouting(type=0, segleft=0, addresses=[])
    return [
        ("none", [], []),
        ("hop-fixed", [hop(fixed)], []),
        ("hop-changing", [hop(changing)], [(44, 48)]),
        ("hop-alert", [hop(RouterAlert(), PadN(optdata=b""))], []),
        ("hop-both", [hop(Pad1(), Pad1(), fixed, changing)], [(52, 56)]),
        ("dest", [dest(changing)], [(44, 48)]),
        ("hop-dest", [hop(fixed), dest(fixed, PadN(optdata=b"\0\0"), PadN(optdata=b"\0\0"))], []),
        ("hop-dest-done-dest", [hop(changing), dest(fixed), done, dest(changing)], [(44, 48)]),
        ("route", [route], []),
        ("hop-route", [hop(changing), route], [(44, 48)]),
    ]


def octets(name, n):
    return hashlib.shake_128(name.encode()).digest(n)


def udp(payload, name):
    return UDP(sport=4000, dport=5000) / Raw(octets(name + " payload", payload))


def bare_packet(version, payload, tos, df, name):
    if version == 4:
        return IP(src="10.1.0.5", dst="10.2.0.7", tos=tos, flags="DF" if df else 0,
                  id=0x1234) / udp(payload, name)
    return IPv6(src="fd00:1::5", dst="fd00:2::7", tc=tos, hlim=63) / udp(payload, name)


def outer_header(outer, inner, tos, df, seq):
    if outer == 6:
        return IPv6(src=SADDR[6], dst=DADDR[6], tc=tos, hlim=64)
    df = df or inner == 6
    return IP(src=SADDR[4], dst=DADDR[4], tos=tos, ttl=64, flags="DF" if df else 0,
              id=0 if df else seq & 0xffff)


def check(v, route):
    """The ICV again, over bytes zeroed by offset. route: offset of an IPv6 one, two addresses."""
    auth = next(a for a in AUTHS if a[1] == v["auth"])
    if v["auth"] == "cmac":
        return
    data = bytearray.fromhex(v["sealed"])
    at = data.index(struct.pack("!II", v["spi"], v["seq"] & 0xffffffff)) + 8
    spans = [(1, 2), (6, 9), (10, 12)] if v["outer"] == 4 else [(1, 4), (7, 8)]
    for start, end in spans + v["mutable"] + [(at, at + auth[3])]:
        data[start:end] = bytes(end - start)
    if v["outer"] == 6:
        data[0] = 0x60
    if route:
        first, last = data[route + 8:route + 24], data[route + 24:route + 40]
        data[route + 3] = 0
        data[route + 8:route + 24], data[route + 24:route + 40] = data[24:40], first
        data[24:40] = last
    if v["esn"]:
        data += struct.pack("!I", v["seq"] >> 32)
    want = hmac.new(bytes.fromhex(v["key"]), data, auth[1]).digest()[:auth[3]]
    assert bytes.fromhex(v["sealed"])[at:at + auth[3]] == want, v["name"]


def seal(name, number, outer, mode, esn, pkt, mutable, tunnel_header=None, route=0):
    scapy_name, auth, key_len, _ = AUTHS[number % len(AUTHS)]
    name = f"{name}-{auth}-{'esn' if esn else 'seq32'}"
    seq = 0xfffffff0 + number if esn else 1 + number * 1000
    key, clear = octets(name + " key", key_len), raw(pkt)
    sa = SecurityAssociation(AH, spi=0x20000000 + number, seq_num=seq & 0xffffffff,
                             auth_algo=scapy_name, auth_key=key, tunnel_header=tunnel_header)
    sealed = raw(sa.encrypt(pkt.__class__(clear), seq_num=seq & 0xffffffff, esn_en=esn,
                            esn=seq >> 32))
    v = {"name": name, "mode": mode, "outer": outer, "auth": auth, "esn": esn,
         "spi": 0x20000000 + number, "seq": seq, "key": key.hex(), "saddr": SADDR[outer],
         "daddr": DADDR[outer], "pending": bool(route), "clear": clear.hex(),
         "sealed": sealed.hex(), "mutable": mutable}
    check(v, route)
    return v


def tunnel_vectors(vectors):
    for outer, inner, esn in itertools.product((4, 6), (4, 6), (False, True)):
        for _ in range(5):
            n = len(vectors)
            tos, df = HEADERS[n % len(HEADERS)]
            seq = 0xfffffff0 + n if esn else 1 + n * 1000
            name = f"v{inner}-in-v{outer}-{PAYLOADS[n % len(PAYLOADS)]}"
            pkt = bare_packet(inner, PAYLOADS[n % len(PAYLOADS)], tos, df, name)
            vectors.append(seal(name, n, outer, "tunnel", esn, pkt, [],
                                outer_header(outer, inner, tos, df, seq)))


def transport4(vectors):
    for (kind, options, mutable), esn in itertools.product(options4(), (False, True)):
        n = len(vectors)
        tos, df = HEADERS[n % len(HEADERS)]
        name = f"v4-{kind}-{PAYLOADS[n % len(PAYLOADS)]}"
        pkt = bare_packet(4, PAYLOADS[n % len(PAYLOADS)], tos, df, name)
        pkt.options = options
        vectors.append(seal(name, n, 4, "transport", esn, pkt, mutable))


def transport6(vectors):
    for (kind, chain, mutable), esn in itertools.product(chains6(), (False, True)):
        n = len(vectors)
        name = f"v6-{kind}-{PAYLOADS[n % len(PAYLOADS)]}"
        pkt = IPv6(src="fd00:1::5", dst="fd00:2::7", tc=HEADERS[n % len(HEADERS)][0], fl=0x12345)
        route = 0
        for ext in chain:
            if isinstance(ext, IPv6ExtHdrRouting) and ext.segleft:
                route = len(raw(pkt))
            pkt /= ext.copy()
        pkt /= udp(PAYLOADS[n % len(PAYLOADS)], name)
        vectors.append(seal(name, n, 6, "transport", esn, pkt, mutable, route=route))


def main():
    vectors = []
    tunnel_vectors(vectors)
    transport4(vectors)
    transport6(vectors)
    description = "AH packets by scapy; made by gen_ah.py"
    json.dump({"description": description, "vectors": vectors}, sys.stdout, indent=0)
    print()


if __name__ == "__main__":
    main()
