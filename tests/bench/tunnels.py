#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's tunnels, for the gateway and for whoever makes and checks its frames.

  tunnels.py --count N [--json FILE]

Prints `ip -batch` lines for one gateway: N tunnels (AES-128-GCM, IPv4 in IPv4) between the same two
gateways, each with an SA either way and policies of its own. One tunnel carries a network; of many,
each carries one host behind the peer. No replay window: frames of a capture may come over and over.
FILE tells the hosts, and SPI and key (with salt) of each tunnel's SAs.
"""
import argparse
import hashlib
import json

LEFT, GATEWAY, PEER = "10.1.1.0/24", "192.0.2.1", "192.0.2.2"
SPI_OUT, SPI_IN = 0x10000, 0x20000
KEY_BYTES = 16 + 4


def tunnel(number, count):
    host = "10.1.2.2" if count == 1 else "10.3.%d.%d" % (number // 200, 1 + number % 200)
    net = "10.1.2.0/24" if count == 1 else host + "/32"
    out = {"host": host, "net": net, "spi_out": SPI_OUT + number, "spi_in": SPI_IN + number}
    for way in ("out", "in"):
        name = "xipsec benchmark key %d" % out["spi_" + way]
        out["key_" + way] = hashlib.sha512(name.encode()).hexdigest()[:2 * KEY_BYTES]
    return out


def lines(tun):
    for way, src, dst in (("out", GATEWAY, PEER), ("in", PEER, GATEWAY)):
        yield ("xfrm state add src %s dst %s proto esp spi 0x%x reqid %d mode tunnel "
               "aead rfc4106(gcm(aes)) 0x%s 128 replay-window 0" %
               (src, dst, tun["spi_" + way], tun["spi_" + way], tun["key_" + way]))
    for direction, way in (("out", "out"), ("in", "in"), ("fwd", "in")):
        nets = (LEFT, tun["net"]) if way == "out" else (tun["net"], LEFT)
        ends = (GATEWAY, PEER) if way == "out" else (PEER, GATEWAY)
        yield ("xfrm policy add src %s dst %s dir %s tmpl src %s dst %s proto esp reqid %d mode tunnel" %
               (*nets, direction, *ends, tun["spi_" + way]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--json")
    args = parser.parse_args()
    tunnels = [tunnel(number, args.count) for number in range(args.count)]
    for tun in tunnels:
        print("\n".join(lines(tun)))
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump(tunnels, file, indent=1)
            file.write("\n")


main()
