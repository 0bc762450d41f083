#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Frames for the generator, as a pcap file.

  frames.py --out FILE --eth-src MAC --eth-dst MAC --src A --dst A --size N|imix
            [--count N] [--flows N] [--mtu N]
      UDP packets of N bytes from the IP header on; imix is 7 x 64, 4 x 576, 1 x 1500, in an order
      without a period; none longer than the MTU
  ... --esp --outer-src A --outer-dst A --spi N --key HEX
      the same packets in ESP (tunnel mode, AES-GCM, key and salt), made by scapy. They come over
      and over, so the SA that receives them must have no replay window.
"""
import argparse
import logging
import os
import random
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from scapy.layers.inet import UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import wrpcap  # noqa: E402
from esp_peer import Sa, ip_class  # noqa: E402

IMIX = [64] * 7 + [576] * 4 + [1500]


def udp_packet(args, number, size):
    ip = ip_class(args.src)(src=args.src, dst=args.dst)
    header = len(ip) + 8
    if size < header:
        sys.exit("frames: size %d is less than the headers' %d bytes" % (size, header))
    packet = ip / UDP(sport=1024 + number % args.flows, dport=9) / Raw(bytes(size - header))
    return ip_class(args.src)(bytes(packet))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("out", "eth-src", "eth-dst", "src", "dst", "size"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--count", type=int, default=480)
    parser.add_argument("--flows", type=int, default=1)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--esp", action="store_true")
    parser.add_argument("--outer-src")
    parser.add_argument("--outer-dst")
    parser.add_argument("--spi", type=lambda text: int(text, 0))
    parser.add_argument("--key", type=lambda text: bytes.fromhex(text.removeprefix("0x")))
    args = parser.parse_args()
    sizes = IMIX if args.size == "imix" else [int(args.size)]
    sizes = [min(sizes[number % len(sizes)], args.mtu) for number in range(args.count)]
    random.Random(1).shuffle(sizes)
    sa = None
    if args.esp:
        if not (args.outer_src and args.outer_dst and args.spi and args.key):
            parser.error("--esp needs --outer-src, --outer-dst, --spi and --key")
        sa = Sa(args.outer_src, args.outer_dst, args.spi, args.key, False, 0)
    frames = []
    for number in range(args.count):
        packet = udp_packet(args, number, sizes[number])
        if sa:
            packet = sa.encrypt(packet)
        frames.append(Ether(src=args.eth_src, dst=args.eth_dst) / packet)
    wrpcap(args.out, frames)


main()
