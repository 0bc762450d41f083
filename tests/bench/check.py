#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Did a benchmark's gateways do their work? Judges what arrived, by the samples that the sink kept.

  check.py [--spi-out N --key-out HEX --spi-in N --key-in HEX] RUNS.jsonl

Redirected and forwarded frames must be the generator's, unchanged; ESP must have a tunnel's SPI and
decrypt under its key to a packet of the generator, one hop older; decrypted packets must be what was
inside, one hop older. The mean length of all packets that were counted must be that of such frames,
and where there are many tunnels, the samples must be of many. The sink must have run on the gateway's
CPU, or one case would pay for it and another not. Tunnels are those of the file that a
run names (of tunnels.py), or the one of the options. peers.py says what other gateways' packets must
be. Status 1 and a line a fault when it is not so. Knows nothing of xipsec's code.
"""
import argparse
import json
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import peers

ETH, IPV4, ESP, IV, ICV, TRAILER = 14, 20, 8, 8, 16, 2
PROTO_ESP = 50
FEWEST_SAMPLES = 8
MANY_TUNNELS = 100
SINK_SHARE = 0.98
OWN_KINDS = ("redirect", "forward", "encrypt", "decrypt")


class Fault(Exception):
    pass


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    frames, at = [], 24
    while at < len(data):
        length = struct.unpack_from("=8xI", data, at)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def forwarded(packet):
    """The IPv4 packet as a router sends it on: RFC 1812 section 5.3.1."""
    head = bytearray(packet[:IPV4])
    head[8] -= 1
    head[10:12] = bytes(2)
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + packet[IPV4:]


def open_esp(packet, keys):
    """The inner packet (RFC 4303, RFC 4106), by the key of its SPI."""
    if packet[9] != PROTO_ESP or checksum(packet[:IPV4]):
        raise Fault("no ESP in a good IPv4 header")
    total = struct.unpack("!H", packet[2:4])[0]
    if total != len(packet):
        raise Fault("IP length %d in a packet of %d bytes" % (total, len(packet)))
    header = packet[IPV4:IPV4 + ESP]
    key = keys.get(struct.unpack("!I", header[:4])[0])
    if not key:
        raise Fault("SPI 0x%s" % header[:4].hex())
    iv = packet[IPV4 + ESP:IPV4 + ESP + IV]
    try:
        clear = AESGCM(key[:-4]).decrypt(key[-4:] + iv, packet[IPV4 + ESP + IV:], header)
    except InvalidTag:
        raise Fault("the ICV is wrong") from None
    return clear[:len(clear) - TRAILER - clear[-2]]


def esp_length(inner):
    return IPV4 + ESP + IV + (inner + TRAILER + 3) // 4 * 4 + ICV


class Checker:
    def __init__(self, args):
        self.keys = {None: {"out": {args.spi_out: args.key_out}, "in": {args.spi_in: args.key_in}}}
        self.frames = {}

    def tunnel_keys(self, path):
        """SPI to key, either way."""
        if path not in self.keys:
            with open(path, encoding="ascii") as file:
                tunnels = json.load(file)
            self.keys[path] = {way: {tunnel["spi_" + way]: bytes.fromhex(tunnel["key_" + way])
                                     for tunnel in tunnels} for way in ("out", "in")}
        return self.keys[path]

    def wanted(self, run, kind, keys):
        """What may arrive: the set of frames or of packets, and the mean length of a frame."""
        key = run["frames"], kind
        if key in self.frames:
            return self.frames[key]
        frames = read_pcap(run["frames"])
        packets = [frame[ETH:] for frame in frames]
        if kind == "decrypt":
            packets = [open_esp(packet, keys["in"]) for packet in packets]
        lengths = [len(packet) for packet in packets]
        if kind == "encrypt":
            lengths = [esp_length(length) for length in lengths]
        if kind in ("encrypt", "decrypt"):
            packets = [forwarded(packet) for packet in packets]
        else:
            packets = frames
        self.frames[key] = set(packets), ETH + sum(lengths) / len(lengths)
        return self.frames[key]

    @staticmethod
    def check_length(run, mean):
        got = run["bytes"] / run["packets"]
        # what the gateway has no time for is lost by chance, so a mix of lengths is met but roughly
        if abs(got / mean - 1) > (0.03 if run["size"] == "imix" else 0.0005):
            raise Fault("%.1f bytes a frame, not %.1f" % (got, mean))

    def check(self, run):
        kind = run["case"].split("-")[0]
        if not run["packets"]:
            raise Fault("no packet while the sink counted: the machine is too busy, or SECONDS too short")
        if "gateway_cpu" in run and (run["sink_cpu"] != run["gateway_cpu"] or run["sink_share"] < SINK_SHARE):
            raise Fault("the sink's work was done by CPU %d (%.0f %%), not all by the gateway's" %
                        (run["sink_cpu"], 100 * run["sink_share"]))
        samples = read_pcap(run["samples"])
        if len(samples) < FEWEST_SAMPLES:
            raise Fault("only %d samples" % len(samples))
        if kind in OWN_KINDS:
            self.check_own(run, kind, samples)
        else:
            self.check_peer(run, kind, samples)

    def check_own(self, run, kind, samples):
        keys = self.tunnel_keys(run.get("tunnels"))
        wanted, mean = self.wanted(run, kind, keys)
        self.check_length(run, mean)
        seen = set()
        for frame in samples:
            if kind == "encrypt":
                packet = open_esp(frame[ETH:], keys["out"])
            elif kind == "decrypt":
                packet = frame[ETH:]
            else:
                packet = frame
            if packet not in wanted:
                raise Fault("a packet that was never sent: %s" % packet[:64].hex())
            seen.add(packet)
        if len(keys["out"]) >= MANY_TUNNELS and len(seen) < len(samples) / 2:
            raise Fault("%d samples of only %d packets: not many tunnels' traffic" % (len(samples), len(seen)))

    def check_peer(self, run, name, samples):
        sent = read_pcap(run["frames"])
        self.check_length(run, sum(peers.length(name, len(frame) - ETH) for frame in sent) / len(sent))
        for frame in samples:
            fault = peers.fault(name, frame, sent)
            if fault:
                raise Fault(fault)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for way in ("out", "in"):
        parser.add_argument("--spi-" + way, type=lambda text: int(text, 0))
        parser.add_argument("--key-" + way, type=lambda text: bytes.fromhex(text.removeprefix("0x")))
    parser.add_argument("runs")
    args = parser.parse_args()
    checker, faults, runs = Checker(args), 0, 0
    with open(args.runs, encoding="ascii") as file:
        for line in file:
            run = json.loads(line)
            runs += 1
            try:
                checker.check(run)
            except Fault as fault:
                print("check: %s at %s bytes, round %d: %s" %
                      (run["case"], run["size"], run["round"], fault), file=sys.stderr)
                faults += 1
    sys.exit(1 if faults or not runs else 0)


main()
