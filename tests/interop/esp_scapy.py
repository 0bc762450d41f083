#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""xipsec's transforms against scapy's, packet by packet, without a wire: every algorithm, mode, family, ESN and UDP
encapsulation that scapy has.

    esp_scapy.py ESPKIT ENGINE...

Of each packet: ours is opened by scapy, and is what scapy makes of the same IV and outer header, byte by byte;
scapy's is opened by us; and each refuses the other's when a bit is changed. One TAP result a transform. Engines take
turns; with XIPSEC_SEED a run is repeated.

What scapy 2.5 does not do is done here: ICVs of AES-GCM shorter than 16 bytes, the high half of ESN in the ICV of
ESP with a separate integrity algorithm (RFC 4303 section 2.2.1), a UDP header whose length covers its payload
(RFC 3948), and AES-GMAC in ESP (RFC 4543). HMAC-SHA-256 is that of 128 bits alone. AH of packets with a routing header
is in tests/vectors/gen_ah.py.
"""
import itertools
import json
import logging
import os
import random
import struct
import subprocess
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from cryptography.hazmat.primitives.ciphers import algorithms, modes  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402
from esp_peer import EsnAuth  # noqa: E402
from scapy.layers.inet import IP, UDP, IPOption_NOP, IPOption_RR  # noqa: E402
from scapy.layers.inet6 import (  # noqa: E402
    IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.ipsec import (  # noqa: E402
    AH, AUTH_ALGOS, CRYPT_ALGOS, ESP, CryptAlgo, IPSecIntegrityError, SecurityAssociation)
from scapy.packet import Raw  # noqa: E402

SIZES = list(range(36)) + [100, 255, 256, 1000, 1400]
PORTS = (4500, 61234)
EXPERIMENT = 253                # RFC 3692: nobody looks inside
SRC = {4: "192.0.2.1", 6: "2001:db8::1"}
DST = {4: "192.0.2.2", 6: "2001:db8::2"}

# scapy's name: name in `ip xfrm`, key sizes, bytes of salt and IV, ICVs of an AEAD
CIPHERS = {
    "AES-GCM": ("rfc4106(gcm(aes))", (16, 24, 32), 4, 8, (16, 12, 8)),
    "AES-CCM": ("rfc4309(ccm(aes))", (16, 24, 32), 3, 8, (16, 12, 8)),
    "CHACHA20-POLY1305": ("rfc7539esp(chacha20,poly1305)", (32,), 4, 8, (16,)),
    "AES-GMAC": ("rfc4543(gcm(aes))", (16, 24, 32), 4, 8, (16,)),
    "AES-CBC": ("cbc(aes)", (16, 24, 32), 0, 16, None),
    "AES-CTR": ("rfc3686(ctr(aes))", (16, 24, 32), 4, 8, None),
    "NULL": ("ecb(cipher_null)", (0,), 0, 0, None),
}
# scapy's name: name in `ip xfrm`, bytes of key and ICV
AUTHS = {
    "HMAC-SHA1-96": ("hmac(sha1)", 20, 12),
    "SHA2-256-128": ("hmac(sha256)", 32, 16),
    "SHA2-384-192": ("hmac(sha384)", 48, 24),
    "SHA2-512-256": ("hmac(sha512)", 64, 32),
    "AES-CMAC-96": ("cmac(aes)", 16, 12),
}
GCM_SHORT = CryptAlgo("AES-GCM", cipher=algorithms.AES, mode=modes.GCM, salt_size=4, block_size=1, iv_size=8,
                      icv_size=16, format_mode_iv=lambda sa, iv, **_: sa.crypt_salt + iv)


class Gmac(CryptAlgo):
    """RFC 4543 section 3: SPI, sequence number, IV and the text, which stays in clear, are additional data."""

    def __init__(self):
        super().__init__("AES-GMAC", cipher=AESGCM, mode=None, key_size=(16, 24, 32), salt_size=4, block_size=1,
                         iv_size=8, icv_size=16)

    def icv(self, sa, esp, iv, text):
        number = struct.pack("!LL", sa.esn, esp.seq) if sa.esn_en else struct.pack("!L", esp.seq)
        return AESGCM(sa.crypt_key).encrypt(sa.crypt_salt + iv, b"", struct.pack("!L", esp.spi) + number + iv + text)

    def encrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text = esp.data_for_encryption()
        return ESP(spi=esp.spi, seq=esp.seq, data=esp.iv + text + self.icv(sa, esp, esp.iv, text))

    def decrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        iv, rest = esp.data[:8], esp.data[8:]
        if self.icv(sa, esp, iv, rest[:-16]) != rest[-16:]:
            raise IPSecIntegrityError("ICV differs")
        return CRYPT_ALGOS["NULL"].decrypt(sa, ESP(spi=esp.spi, seq=esp.seq, data=rest), None, 16)


CRYPT_ALGOS["AES-GMAC"] = Gmac()


class Kit:
    """The filter: build/tests/interop/espkit."""

    def __init__(self, path, engine):
        self.process = subprocess.Popen([path, engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("espkit ended")
        return json.loads(answer)


class Transform:
    def __init__(self, proto, cipher=None, key_len=0, auth=None, icv=None):
        self.proto, self.cipher, self.auth, self.key_len = proto, cipher, auth, key_len
        self.salt_len = CIPHERS[cipher][2] if cipher else 0
        self.iv_len = CIPHERS[cipher][3] if cipher else 0
        self.icv = icv or AUTHS[auth][2]
        self.auth_len = AUTHS[auth][1] if auth else 0

    def __str__(self):
        words = [self.proto.__name__]
        if self.cipher:
            words.append("%s-%d" % (self.cipher, self.key_len * 8) if self.key_len else self.cipher)
        words.append(self.auth or "ICV %d" % self.icv)
        return " ".join(words)


def transforms():
    for cipher, (_, key_lens, _, _, icvs) in CIPHERS.items():
        for key_len in key_lens:
            if icvs:
                yield from (Transform(ESP, cipher, key_len, icv=icv) for icv in icvs)
            else:
                yield from (Transform(ESP, cipher, key_len, auth) for auth in AUTHS)
    yield from (Transform(AH, auth=auth) for auth in AUTHS)


class Pair:
    """One SA, as scapy and as espkit have it."""

    def __init__(self, rng, t, tunnel, outer, esn, encap):
        self.t, self.tunnel, self.outer, self.esn, self.encap = t, tunnel, outer, esn, encap
        self.key = rng.randbytes(t.key_len + t.salt_len)
        self.auth_key = rng.randbytes(t.auth_len)
        self.spi = rng.randrange(256, 1 << 32)
        self.scapy = self.make()

    def make(self):
        t, kwargs = self.t, {"spi": self.spi, "tunnel_header": self.tunnel and ip_class(self.outer)()}
        if t.cipher:
            kwargs.update(crypt_algo=t.cipher, crypt_key=self.key or None)
            if not t.auth:
                kwargs.update(crypt_icv_size=t.icv)
        if t.auth:
            kwargs.update(auth_algo=t.auth, auth_key=self.auth_key)
        sa = SecurityAssociation(t.proto, esn_en=self.esn, **kwargs)
        if t.cipher == "AES-GCM" and t.icv < 16:
            sa.crypt_algo = GCM_SHORT
        if self.esn and t.auth and t.proto is ESP:
            sa.auth_algo = EsnAuth(AUTH_ALGOS[t.auth])
        return sa

    def set_seq(self, seq):
        # attributes, not arguments: scapy 2.5 takes 0 for "not given"
        self.scapy.seq_num, self.scapy.esn = seq & 0xFFFFFFFF, seq >> 32
        if isinstance(self.scapy.auth_algo, EsnAuth):
            self.scapy.auth_algo.high = seq >> 32

    def line(self, op, seq, packet):
        t = self.t
        line = {"op": op, "seq": seq, "packet": packet.hex(), "proto": t.proto.__name__.lower(),
                "mode": "tunnel" if self.tunnel else "transport", "src": SRC[self.outer], "dst": DST[self.outer],
                "spi": self.spi, "icv": t.icv * 8, "key": self.key.hex(), "auth_key": self.auth_key.hex(),
                "esn": self.esn, "align4": True}
        if t.cipher:
            line["alg"] = CIPHERS[t.cipher][0]
        if t.auth:
            line["auth"] = AUTHS[t.auth][0]
        if self.encap:
            line["encap"] = PORTS
        return line


def ip_class(version):
    return IPv6 if version == 6 else IP


def clear_packet(rng, version, size, plain, routing=True):
    """plain: no options or extension headers. routing: a routing header, too"""
    body = Raw(rng.randbytes(size))
    tos, ttl = rng.randrange(256), rng.randrange(1, 256)
    if version == 4:
        packet = IP(src="10.1.0.5", dst="10.2.0.7", tos=tos, ttl=ttl, id=rng.randrange(65536), proto=EXPERIMENT,
                    flags=rng.choice(("DF", 0)))
        if not plain:
            packet.options = [IPOption_NOP(), IPOption_RR(pointer=8, routers=["10.9.9.9", "0.0.0.0"])]
        return bytes(packet / body)
    headers = IPv6(src="fd00:1::5", dst="fd00:2::7", tc=tos, hlim=ttl, fl=rng.randrange(1 << 20), nh=EXPERIMENT)
    if not plain:
        pad = PadN(optdata=bytes(4))
        headers.nh = 0
        headers /= IPv6ExtHdrHopByHop(options=[pad], nh=43 if routing else 60)
        if routing:
            headers /= IPv6ExtHdrRouting(type=0, segleft=0, addresses=["fd00:3::1"], nh=60)
        headers /= IPv6ExtHdrDestOpt(options=[pad], nh=EXPERIMENT)
    return bytes(headers / body)


def header_length(packet):
    """Bytes in front of ESP, AH or UDP."""
    if packet[0] >> 4 == 4:
        return (packet[0] & 15) * 4
    nh, at = packet[6], 40
    while nh in (0, 43, 60):
        nh, at = packet[at], at + 8 + 8 * packet[at + 1]
    return at


def with_header(packet, at, middle, rest, protocol):
    """The packet's IP header with middle and rest behind it, its length, protocol and checksum right."""
    header = type(packet)(bytes(packet)[:at])
    if packet.version == 4:
        header.proto = protocol
        del header.len, header.chksum
    else:
        last = header
        while last.payload and not isinstance(last.payload, Raw):
            last = last.payload
        last.nh = protocol
        del header.plen
    return bytes(header / Raw(middle + rest))


def wrap_udp(packet):
    """ESP as scapy made it, in UDP."""
    data, at = bytes(packet), header_length(bytes(packet))
    udp = b"".join(n.to_bytes(2, "big") for n in (*PORTS, len(data) - at + 8, 0))
    data = with_header(packet, at, udp, data[at:], 17)
    if packet.version == 6:
        packet = IPv6(data)
        del packet[UDP].chksum
        data = bytes(packet)
    return data


class Wrong(Exception):
    pass


def want(truth, what):
    if not truth:
        raise Wrong(what)


def unwrap_udp(data):
    """Our packet without UDP, whose header must be right (RFC 3948 section 2.1; RFC 8200 section 8.1)."""
    version, at = data[0] >> 4, header_length(data)
    want([int.from_bytes(data[at + i:at + i + 2], "big") for i in (0, 2, 4)] == [*PORTS, len(data) - at],
         "UDP header")
    packet = ip_class(version)(data)
    if version == 4:
        want(data[at + 6:at + 8] == bytes(2), "UDP checksum of IPv4 is not 0")
    else:
        fresh = packet.copy()
        del fresh[UDP].chksum
        want(data[at + 6:at + 8] != bytes(2) and bytes(fresh) == data, "UDP checksum of IPv6")
    return with_header(packet, at, b"", data[at + 8:], 50)


def outer_good(pair, data, clear, seq):
    """RFC 4301 section 5.1.2, RFC 6040 section 4.1, RFC 6864"""
    outer, inner = ip_class(pair.outer)(data), ip_class(clear[0] >> 4)(clear)
    tos = inner.tc if inner.version == 6 else inner.tos
    df = inner.version == 6 or bool(inner.flags.DF)
    want((outer.src, outer.dst) == (SRC[pair.outer], DST[pair.outer]), "outer addresses")
    if pair.outer == 6:
        want((outer.tc, outer.hlim, outer.fl) == (tos, 64, 0), "outer header")
    else:
        want((outer.tos, outer.ttl, bool(outer.flags.DF), outer.id) == (tos, 64, df, 0 if df else seq & 0xFFFF),
             "outer header")


def flipped(data, at):
    data = bytearray(data)
    data[at] ^= 4
    return bytes(data)


def scapy_opens(pair, data):
    try:
        return bytes(pair.scapy.decrypt(ip_class(data[0] >> 4)(data)))
    except Exception as e:  # IPSecIntegrityError, InvalidTag
        return type(e).__name__


def ours_to_scapy(pair, kit, seq, clear):
    answer = kit.ask(pair.line("seal", seq, clear))
    want("packet" in answer, "seal: %s" % answer)
    data = bytes.fromhex(answer["packet"])
    if pair.tunnel:
        outer_good(pair, data, clear, seq)
    if pair.encap:
        data = unwrap_udp(data)
    opened = scapy_opens(pair, data)
    want(opened == clear, "scapy opens ours: %s" % opened)
    at = header_length(data)
    want(isinstance(scapy_opens(pair, flipped(data, len(data) - 1 if pair.t.proto is ESP else at + 12)), str),
         "scapy opens ours though the ICV was changed")
    remade = pair.make()
    pair.scapy, keep = remade, pair.scapy
    pair.set_seq(seq)
    if pair.tunnel:
        pair.scapy.tunnel_header = ip_class(pair.outer)(data[:at])
    iv = {} if pair.t.proto is AH else {"iv": data[at + 8:at + 8 + pair.t.iv_len]}
    same = bytes(pair.scapy.encrypt(ip_class(clear[0] >> 4)(clear), **iv))
    pair.scapy = keep
    want(same == data, "scapy makes another packet of it: %s, ours %s" % (same.hex(), data.hex()))


def scapy_to_ours(pair, kit, seq, clear, rng):
    if pair.tunnel:
        tos = ip_class(clear[0] >> 4)(clear)
        tos = tos.tc if tos.version == 6 else tos.tos
        header = {"src": SRC[pair.outer], "dst": DST[pair.outer]}
        pair.scapy.tunnel_header = (IPv6(tc=tos, hlim=33, fl=5, **header) if pair.outer == 6 else
                                    IP(tos=tos, ttl=33, id=rng.randrange(65536), **header))
    packet = pair.scapy.encrypt(ip_class(clear[0] >> 4)(clear))
    data = bytes(packet)
    if pair.encap:
        data = wrap_udp(packet)
    answer = kit.ask(pair.line("open", seq, data))
    want(answer.get("packet") == clear.hex(), "we open scapy's: %s, scapy's %s" % (answer, data.hex()))
    at = len(data) - 1 if pair.t.proto is ESP else header_length(data) + 12
    answer = kit.ask(pair.line("open", seq, flipped(data, at)))
    want(answer == {"dropped": "icv_bad"}, "we open scapy's with a changed ICV: %s" % answer)
    if pair.esn:
        answer = kit.ask(pair.line("open", seq + (1 << 32), data))
        want(answer == {"dropped": "icv_bad"}, "we open scapy's as of another high half: %s" % answer)


def kinds(t):
    for outer, inner, tunnel, esn, encap in itertools.product((4, 6), (4, 6), (True, False), (False, True),
                                                              (False, True)):
        if (tunnel or inner == outer) and not (encap and t.proto is AH):
            yield tunnel, outer, inner, esn, encap


def try_transform(t, kits, rng, turn):
    """How many packets agreed."""
    done = 0
    for tunnel, outer, inner, esn, encap in kinds(t):
        pair = Pair(rng, t, tunnel, outer, esn, encap)
        # of the ciphers with each integrity algorithm there are many
        for _ in range(1 if t.cipher and t.auth else 2):
            size = SIZES[next(turn) % len(SIZES)]
            seq = rng.randrange(1, 1 << 32) | (rng.randrange(1 << 31) << 32 if esn else 0)
            # scapy's AH takes every routing header for one whose way is still to go
            clear = clear_packet(rng, inner, size, next(turn) % 3 != 0, t.proto is ESP)
            try:
                pair.set_seq(seq)
                ours_to_scapy(pair, kits[done % len(kits)], seq, clear)
                scapy_to_ours(pair, kits[(done + 1) % len(kits)], seq, clear, rng)
            except Wrong as e:
                raise Wrong("%s in IPv%d%s%s%s, %s: %s" % (
                    "IPv%d" % inner, outer, ", tunnel" if tunnel else ", transport", ", ESN" if esn else "",
                    ", UDP" if encap else "", clear.hex(), e)) from e
            done += 1
    return done


def main():
    seed = int(os.environ.get("XIPSEC_SEED") or time.time())
    rng, turn, failed, total = random.Random(seed), itertools.count(), 0, 0
    kits = [Kit(sys.argv[1], engine) for engine in sys.argv[2:]]
    number = 0
    for number, t in enumerate(transforms(), 1):
        try:
            done = try_transform(t, kits, rng, turn)
            total += done
            print("ok %d - %s, %d packets each way" % (number, t, done))
        except Wrong as e:
            failed += 1
            print("not ok %d - %s\n# %s (XIPSEC_SEED=%d)" % (number, t, e, seed))
        sys.stdout.flush()
    for cipher, key_len in (("AES-CBC", 16), ("NULL", 0)):
        number += 1
        t = Transform(ESP, cipher, key_len, icv=16)
        pair = Pair(rng, t, True, 4, False, False)
        line = dict(pair.line("seal", 1, clear_packet(rng, 4, 10, True)), icv=0)
        refused = all(kit.ask(line) == {"refused": "sa"} for kit in kits)
        failed += not refused
        print("%sok %d - %s without integrity is no SA" % ("" if refused else "not ", number, t.cipher))
    print("# %d packets each way, XIPSEC_SEED=%d" % (total, seed))
    print("1..%d" % number)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
