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
  ... --tunnels FILE
      packets go to the hosts of FILE (of tunnels.py) in turn; with --esp they come from them, each
      in its tunnel's inbound SA. --dst, or --src, --spi and --key, are not needed then
"""
import argparse
import json
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


def udp_packet(src, dst, port, size):
    ip = ip_class(src)(src=src, dst=dst)
    header = len(ip) + 8
    if size < header:
        sys.exit("frames: size %d is less than the headers' %d bytes" % (size, header))
    packet = ip / UDP(sport=port, dport=9) / Raw(bytes(size - header))
    return ip_class(src)(bytes(packet))


# AES-GCM without ESN, from the first sequence number on
GCM = argparse.Namespace(crypt=None, auth=None, esn=False, seq=0)


def routes(args):
    """Of each tunnel, or of the one flow: source, destination, SA or None."""
    if args.tunnels:
        with open(args.tunnels, encoding="ascii") as file:
            tunnels = json.load(file)
        if not args.esp:
            return [(args.src, tunnel["host"], None) for tunnel in tunnels]
        return [(tunnel["host"], args.dst,
                 Sa(args.outer_src, args.outer_dst, tunnel["spi_in"], bytes.fromhex(tunnel["key_in"]),
                    GCM)) for tunnel in tunnels]
    sa = Sa(args.outer_src, args.outer_dst, args.spi, args.key, GCM) if args.esp else None
    return [(args.src, args.dst, sa)]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("out", "eth-src", "eth-dst", "size"):
        parser.add_argument("--" + name, required=True)
    for name in ("src", "dst", "outer-src", "outer-dst", "tunnels"):
        parser.add_argument("--" + name)
    parser.add_argument("--count", type=int, default=480)
    parser.add_argument("--flows", type=int, default=1)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--esp", action="store_true")
    parser.add_argument("--spi", type=lambda text: int(text, 0))
    parser.add_argument("--key", type=lambda text: bytes.fromhex(text.removeprefix("0x")))
    args = parser.parse_args()
    sizes = IMIX if args.size == "imix" else [int(args.size)]
    sizes = [min(sizes[number % len(sizes)], args.mtu) for number in range(args.count)]
    random.Random(1).shuffle(sizes)
    if not (args.src or args.tunnels and args.esp) or not (args.dst or args.tunnels and not args.esp):
        parser.error("--src and --dst are needed, but for what --tunnels tells")
    if args.esp and not (args.outer_src and args.outer_dst and (args.tunnels or args.spi and args.key)):
        parser.error("--esp needs --outer-src, --outer-dst, and --spi and --key or --tunnels")
    ways = routes(args)
    frames = []
    for number in range(args.count):
        src, dst, sa = ways[number % len(ways)]
        packet = udp_packet(src, dst, 1024 + number % args.flows, sizes[number])
        if sa:
            packet = sa.encrypt(packet)
        frames.append(Ether(src=args.eth_src, dst=args.eth_dst) / packet)
    wrpcap(args.out, frames)


main()
