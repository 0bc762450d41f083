#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines for `meta send`: one kind of frame, with each of several forged metadata in front.

  meta_frames.py KIND MAC HANDLE-IN HANDLE-OUT SPI KEY [SEQ]

KIND: clear (from behind the other gateway), unknown-spi, bad-icv, good (ESP, from SEQ on), out (from h1 to be
protected), foreign (from h1, no policy names it), and control (one frame without, one with any, one with our own).
MAC: of the port. META_MOST in the environment: bytes of metadata that the kernel carries (252). Each frame has another
inner source address, so that each is a flow of its own.
"""
import os
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = 0x58495031
NO_SLOT = 0xFFFFFFFF
OUT, IN = 1, 0
CRYPTO_DONE = 2


def meta(handle, direction, flags=CRYPTO_DONE, slot=0, port=1, magic=MAGIC):
    """struct xi_meta of include/xipsec/abi.h"""
    return struct.pack("=IIIIIHBBHHI", magic, handle, 0, slot, NO_SLOT, flags, direction, 0, 14, port, 0)


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload):
    def header(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, check,
                           bytes(map(int, src.split("."))), bytes(map(int, dst.split("."))))
    return header(checksum(header(0))) + payload


def echo_reply(src, dst):
    """Nobody answers one."""
    icmp = struct.pack("!BBHHH", 0, 0, 0, 1, 1) + b"forged metadata!"
    return ipv4(src, dst, 1, icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:])


def esp(spi, seq, key, inner, bad=False):
    """RFC 4303 and 4106, tunnel mode."""
    pad = -(len(inner) + 2) % 4
    plain = inner + bytes(range(1, pad + 1)) + struct.pack("!BB", pad, 4)
    header, iv = struct.pack("!II", spi, seq), struct.pack("!Q", seq)
    sealed = AESGCM(key[:-4]).encrypt(key[-4:] + iv, plain, header)
    if bad:
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    return ipv4("192.0.2.2", "192.0.2.1", 50, header + iv + sealed)


def main():
    kind, mac, handle_in, handle_out, spi, key = sys.argv[1:7]
    seq = int(sys.argv[7]) if len(sys.argv) > 7 else 1
    handle_in, handle_out, spi = int(handle_in), int(handle_out), int(spi, 0)
    key = bytes.fromhex(key.removeprefix("0x"))
    forged = [
        meta(handle_in, IN),
        meta(handle_out, OUT),
        meta(handle_in, IN, flags=1, slot=NO_SLOT),
        meta(0, IN, flags=1, port=2),
        meta(handle_in, IN) + meta(handle_out, OUT),
        b"\0" * 64 + meta(handle_out, OUT),
        os.urandom(4),
        b"\xff" * 32,
    ]
    most = int(os.environ.get("META_MOST", 252))
    forged = [m[-most:] for m in forged]
    if kind == "control":
        forged = [b"", b"\xee" * 8, meta(1, IN)]
    for i, m in enumerate(forged):
        far, near = "10.1.2.%d" % (100 + i), "10.1.1.2"
        packet = {
            "control": lambda: echo_reply(far, near),
            "clear": lambda: echo_reply(far, near),
            "unknown-spi": lambda: esp(0xABCDEF01, 1 + i, key, echo_reply(far, near)),
            "bad-icv": lambda: esp(spi, 1 + i, key, echo_reply(far, near), bad=True),
            "good": lambda: esp(spi, seq + i, key, echo_reply(far, near)),
            "out": lambda: echo_reply(near, far),
            "foreign": lambda: echo_reply(near, "192.0.2.254"),
        }[kind]()
        eth = bytes.fromhex(mac.replace(":", "")) + b"\x02\0\0\0\0\x77" + b"\x08\0"
        print(m.hex() or "-", (eth + packet).hex())


main()
