#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ESP and AH packets of every transform by scapy's IPsec, for tests that compare byte for byte.

    /usr/bin/python3 -B tests/vectors/gen_packets.py > tests/vectors/packets.json

Every run gives the same file. Of each transform one packet of tunnel mode and one of transport mode; families, ESN, UDP
encapsulation and sizes take turns. tests/interop/esp_scapy.py tells what is done beside scapy.
"""
import itertools
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../interop"))
from esp_scapy import (  # noqa: E402
    AH, AUTHS, CIPHERS, DST, ESP, EXPERIMENT, PORTS, SRC, Pair, clear_packet, header_length, ip_class, scapy_opens,
    transforms, wrap_udp)

# outer, inner, ESN, UDP
TUNNELS = [(4, 4, True, False), (4, 6, False, True), (6, 4, True, True), (6, 6, False, False)]
TRANSPORTS = [(4, 4, True, True), (6, 6, False, True), (4, 4, False, False), (6, 6, True, False)]
SIZES = [0, 1, 2, 13, 14, 15, 16, 17, 22, 40, 63]


def vector(rng, t, tunnel, outer, inner, esn, encap, size):
    encap = encap and t.proto is not AH
    pair = Pair(rng, t, tunnel, outer, esn, encap)
    seq = rng.randrange(1, 1 << 32) | (rng.randrange(1 << 31) << 32 if esn else 0)
    clear = clear_packet(rng, inner, size, True)
    plain = ip_class(inner)(clear)
    if tunnel:
        tos = plain.tc if inner == 6 else plain.tos
        kwargs = {"hlim": 64, "tc": tos} if outer == 6 else {"ttl": 64, "tos": tos, "id": rng.randrange(65536)}
        pair.scapy.tunnel_header = ip_class(outer)(src=SRC[outer], dst=DST[outer], **kwargs)
    pair.set_seq(seq)
    iv = rng.randbytes(t.iv_len)
    sealed = pair.scapy.encrypt(plain, **({} if t.proto is AH else {"iv": iv}))
    assert scapy_opens(pair, bytes(sealed)) == clear
    body = b""
    if t.proto is ESP:
        body = clear if tunnel else clear[header_length(clear):]
        pad = -(len(body) + 2) % (16 if t.cipher == "AES-CBC" else 4)
        body += bytes(range(1, pad + 1)) + bytes([pad, (41 if inner == 6 else 4) if tunnel else EXPERIMENT])
    data = wrap_udp(sealed) if encap else bytes(sealed)
    key = dict(xfrm_key=pair.key.hex(), auth_key=pair.auth_key.hex(), icv_bits=t.icv * 8, iv=iv.hex())
    algs = {"auth": AUTHS[t.auth][0]} if t.auth else {}
    if t.cipher:
        algs["enc" if t.auth else "aead"] = CIPHERS[t.cipher][0]
    return {"name": "%s, %s, IPv%d in IPv%d%s%s" % (t, "tunnel" if tunnel else "transport", inner, outer,
                                                   ", ESN" if esn else "", ", UDP" if encap else ""),
            "proto": t.proto.__name__.lower(), "mode": "tunnel" if tunnel else "transport",
            "features": ["ah-align4"] if t.proto is AH and outer == 4 else [], "outer_ip_version": outer,
            "outer_src": SRC[outer] if tunnel else plain.src, "outer_dst": DST[outer] if tunnel else plain.dst,
            "udp_encap": {"sport": PORTS[0], "dport": PORTS[1]} if encap else None, "esn": esn,
            "spi": "0x%08x" % pair.spi, "seq": seq & 0xFFFFFFFF, "seq_hi": seq >> 32, **algs, **key,
            "plaintext_packet": clear.hex(), "ciphertext_packet": data.hex(), "esp_clear": body.hex()}


def main():
    rng, vectors = random.Random(4303), []
    tunnels, transports, sizes = map(itertools.cycle, (TUNNELS, TRANSPORTS, SIZES))
    for t in transforms():
        for tunnel, kinds in ((True, tunnels), (False, transports)):
            vectors.append(vector(rng, t, tunnel, *next(kinds), next(sizes)))
    json.dump({"description": "ESP and AH packets by scapy; made by gen_packets.py", "vectors": vectors}, sys.stdout,
              indent=0)
    print()


if __name__ == "__main__":
    main()
