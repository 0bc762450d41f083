#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An IPsec peer that shares no code with xipsec: ESP in tunnel mode, every algorithm that scapy has.

  esp_peer.py answer SA-OPTIONS --dev DEV [--seconds S] [--ready FILE]
      decrypt what arrives, answer the echo requests inside, until SIGTERM or S seconds have passed
  esp_peer.py send SA-OPTIONS --dev DEV --inner-src A --inner-dst A --plan STEP,STEP,...
      send encrypted echo requests, also bad ones, and see which of them are answered
  esp_peer.py check SA-OPTIONS --pcap FILE
      verify the ICV of every ESP packet of both SAs in a capture, and that no IV was used twice with
      one key

Each prints one JSON object on stdout. Runs in the peer's network namespace, as root.
SA-OPTIONS, as this peer sees them:
--local A --remote A --spi-in N --key-in HEX --spi-out N --key-out HEX
(cipher key, salt, key of --auth) [--esn] [--seq N: sequence number to begin after, 64 bits with ESN]
[--auth NAME, --crypt NAME: as scapy calls them; AES-GCM, or with --auth AES-CBC] [--encap LOCAL:REMOTE:
in UDP, RFC 3948, between these ports].

Steps of a plan; each sends one packet, a fresh echo request, unless said otherwise:
  ok             a good packet with the next sequence number
  big:N          a good packet with N bytes of echo data
  skip:N         no packet: leave out N sequence numbers
  hold           build the next good packet and keep it
  late           send the kept packet now
  replayed       send the last good packet again
  old:N          a good packet, but its sequence number is N below the highest one sent
  tampered       one bit of the ICV is wrong
  tampered-data  one bit of the ciphertext is wrong
  tampered-seq   the sequence number is another than the one that was authenticated
  unknown-spi    another SPI
  foreign        good, but the inner source address is not what the policy allows
  short          cut off in the middle of the IV
  dummy          next header 59 (RFC 4303 section 2.6), nothing inside
  clear          the echo request without ESP, in the outer addresses' network
"""
import argparse
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6  # noqa: E402
from scapy.layers.ipsec import (  # noqa: E402
    AUTH_ALGOS, CRYPT_ALGOS, ESP, IPSecIntegrityError, SecurityAssociation)
from scapy.packet import NoPayload, Raw  # noqa: E402
from scapy.utils import PcapReader  # noqa: E402

ESP_HEADER = 8
UDP_HEADER = 8
AUTH_KEY = {"HMAC-SHA1-96": 20, "SHA2-256-128": 32, "SHA2-384-192": 48, "SHA2-512-256": 64,
            "AES-CMAC-96": 16}
PACKET_OUTGOING = 4
ETH_P_ALL = 3
IPV6_HDRINCL = 36
NO_NEXT_HEADER = 59


def ip_class(address):
    return IPv6 if ":" in address else IP


class EsnAuth:
    """A HMAC of scapy's, with the high half of the sequence number, which scapy 2.5 leaves out of ESP's.

    RFC 4303 section 2.2.1: it is not sent, but comes into the ICV behind the packet."""

    def __init__(self, algo):
        self.algo, self.high = algo, 0
        self.name, self.icv_size = algo.name, algo.icv_size

    def icv(self, data, key):
        mac = self.algo.new_mac(key)
        mac.update(data + struct.pack("!L", self.high))
        return mac.finalize()[:self.icv_size]

    def sign(self, packet, key, **_):
        packet[ESP].data += self.icv(bytes(packet[ESP]), key)
        return packet

    def verify(self, packet, key, **_):
        data = bytes(packet[ESP])
        if self.icv(data[:-self.icv_size], key) != data[-self.icv_size:]:
            raise IPSecIntegrityError("ICV differs")


class Sa:
    """One direction: scapy's SA, and the sequence numbers, which scapy does not judge."""

    def __init__(self, src, dst, spi, key, args, encap=None):
        self.spi, self.key, self.esn, self.auth = spi, key, args.esn, args.auth
        self.crypt = args.crypt or ("AES-CBC" if args.auth else "AES-GCM")
        self.iv_size = CRYPT_ALGOS[self.crypt].iv_size
        self.encap = encap          # source and destination port
        self.seq = args.seq         # last sent, or highest received
        self.seen = set()
        self.scapy = self.make(tunnel_header=ip_class(src)(src=src, dst=dst))

    def make(self, **kwargs):
        split = len(self.key) - AUTH_KEY.get(self.auth, 0)
        if self.auth:
            kwargs.update(auth_algo=self.auth, auth_key=self.key[split:])
        sa = SecurityAssociation(ESP, spi=self.spi, esn_en=self.esn, crypt_algo=self.crypt,
                                 crypt_key=self.key[:split] or None, **kwargs)
        if self.esn and self.auth:
            sa.auth_algo = EsnAuth(AUTH_ALGOS[self.auth])
        return sa

    def set_high(self, scapy_sa, high):
        scapy_sa.esn = high
        scapy_sa.auth_algo.high = high  # noticed by EsnAuth alone

    def encrypt(self, inner, seq=None, scapy_sa=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        scapy_sa = scapy_sa or self.scapy
        # set, not passed: scapy 2.5 takes a sequence number of 0, which ESN has, for none
        scapy_sa.seq_num = seq & 0xFFFFFFFF
        self.set_high(scapy_sa, seq >> 32)
        packet = scapy_sa.encrypt(inner)
        return self.in_udp(packet) if self.encap else packet

    def in_udp(self, packet):
        """scapy 2.5 would leave the payload out of UDP's length."""
        esp, outer = bytes(packet[ESP]), packet.copy()
        outer[ESP].underlayer.remove_payload()
        outer /= UDP(sport=self.encap[0], dport=self.encap[1], chksum=0) / Raw(esp)
        if outer.version == 6:
            outer.nh = socket.IPPROTO_UDP
            del outer.plen, outer[UDP].chksum
        else:
            outer.proto = socket.IPPROTO_UDP
            del outer.len, outer.chksum
        return type(packet)(bytes(outer))

    def full_seq(self, low):
        """The 64-bit number with these low bits that is nearest to the highest one known."""
        if not self.esn:
            return low
        high = self.seq >> 32
        return min((h << 32 | low for h in (high - 1, high, high + 1) if h >= 0),
                   key=lambda n: abs(n - self.seq))

    def decrypt(self, packet):
        """(inner packet, sequence number); the inner packet is None when the ICV is wrong."""
        seq = self.full_seq(packet[ESP].seq)
        try:
            self.set_high(self.scapy, seq >> 32)
            inner = self.scapy.decrypt(packet.copy())
        except Exception as e:  # IPSecIntegrityError, InvalidTag, struct.error
            logging.debug("decrypt: %r", e)
            return None, seq
        self.seq = max(self.seq, seq)
        return inner, seq


def find_esp(packet, encap=None):
    """The outer IP packet with its ESP layer: plain, or in UDP (RFC 3948); else None."""
    if ESP in packet:
        return packet
    if UDP in packet and (4500 in (packet[UDP].sport, packet[UDP].dport) or
                          (packet[UDP].sport, packet[UDP].dport) == encap):
        payload = bytes(packet[UDP].payload)
        if len(payload) > ESP_HEADER and payload[:4] != bytes(4):
            packet = packet.copy()
            protocol_field = "nh" if IPv6 in packet else "proto"
            setattr(packet, protocol_field, socket.IPPROTO_ESP)
            packet.remove_payload()
            return packet / ESP(payload)
    return None


def echo_request(src, dst, ident, seq, size):
    data = bytes(i & 0xFF for i in range(size))
    if ip_class(src) is IPv6:
        return IPv6(src=src, dst=dst) / ICMPv6EchoRequest(id=ident, seq=seq, data=data)
    return IP(src=src, dst=dst) / ICMP(type=8, id=ident, seq=seq) / Raw(data)


def echo_of(packet):
    """("request" or "reply", id, seq, data) of an echo packet, else None"""
    if ICMP in packet and packet[ICMP].type in (0, 8):
        kind = "request" if packet[ICMP].type == 8 else "reply"
        return kind, packet[ICMP].id, packet[ICMP].seq, bytes(packet[ICMP].payload)
    for cls, kind in ((ICMPv6EchoRequest, "request"), (ICMPv6EchoReply, "reply")):
        if cls in packet:
            return kind, packet[cls].id, packet[cls].seq, bytes(packet[cls].data)
    return None


def echo_reply(request):
    _, ident, seq, data = echo_of(request)
    if IPv6 in request:
        return (IPv6(src=request[IPv6].dst, dst=request[IPv6].src) /
                ICMPv6EchoReply(id=ident, seq=seq, data=data))
    return (IP(src=request[IP].dst, dst=request[IP].src) /
            ICMP(type=0, id=ident, seq=seq) / Raw(data))


def checksums_good(packet):
    """Building the packet anew must give the same bytes: lengths and checksums included."""
    fresh = packet.copy()
    layer = fresh
    while not isinstance(layer, NoPayload):
        for field in ("chksum", "cksum", "len", "plen"):
            if field in getattr(layer, "fields", {}):
                delattr(layer, field)
        layer = layer.payload
    return bytes(fresh) == bytes(packet)


class Wire:
    """Raw access to the device. Sending leaves routes and neighbours to the kernel."""

    def __init__(self, dev, port=None):
        self.rx = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.rx.bind((dev, ETH_P_ALL))
        self.tx4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.tx6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.tx6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        # While somebody listens the kernel does not call protocol 50, or the port, unreachable.
        self.quiet = [socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ESP)
                      for family in (socket.AF_INET, socket.AF_INET6)]
        if port:
            self.quiet.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            self.quiet[-1].bind(("::", port))

    def send(self, packet):
        data = bytes(packet)
        if packet.version == 6:
            self.tx6.sendto(data, (packet.dst, 0))
        else:
            self.tx4.sendto(data, (packet.dst, 0))

    def receive(self, seconds):
        """The next IP packet that arrives, or None when the time is up."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.rx], [], [], left)[0]:
                return None
            data, (_, protocol, direction, _, _) = self.rx.recvfrom(65536)
            if direction == PACKET_OUTGOING:
                continue
            if protocol == 0x0800:
                return IP(data)
            if protocol == 0x86DD:
                return IPv6(data)


def sas_of(args):
    back = args.encap and args.encap[::-1]
    return (Sa(args.remote, args.local, args.spi_in, args.key_in, args, back),
            Sa(args.local, args.remote, args.spi_out, args.key_out, args, args.encap))


class Peer:
    def __init__(self, args):
        self.local, self.remote = args.local, args.remote
        self.sa_in, self.sa_out = sas_of(args)
        self.wire = Wire(args.dev, args.encap and args.encap[0])
        self.result = {"received": 0, "icv_bad": 0, "replayed": 0, "unknown_spi": 0,
                       "inner_bad": 0, "icmp_errors": 0, "outer": []}

    def open(self, packet):
        """The inner packet of a good, new ESP packet for this peer; everything else is counted."""
        if packet.dst != self.local:
            return None
        if packet.haslayer(ICMP) and packet[ICMP].type in (3, 4, 11, 12):
            self.result["icmp_errors"] += 1
        esp = find_esp(packet, self.sa_in.encap)
        if esp is None:
            return None
        if esp[ESP].spi != self.sa_in.spi:
            self.result["unknown_spi"] += 1
            return None
        inner, seq = self.sa_in.decrypt(esp)
        if inner is None:
            self.result["icv_bad"] += 1
            return None
        if seq in self.sa_in.seen:
            self.result["replayed"] += 1
            return None
        self.sa_in.seen.add(seq)
        self.result["received"] += 1
        self.note_outer(packet, seq)
        if isinstance(inner, (IP, IPv6)) and not checksums_good(inner):
            self.result["inner_bad"] += 1
            return None
        return inner

    def note_outer(self, packet, seq):
        if len(self.result["outer"]) < 64:
            v6 = packet.version == 6
            self.result["outer"].append({
                "src": packet.src, "seq": seq, "length": len(packet),
                "ttl": packet.hlim if v6 else packet.ttl, "tos": packet.tc if v6 else packet.tos,
                "df": None if v6 else bool(packet.flags.DF)})


def run_answer(args):
    peer = Peer(args)
    peer.result["answered"] = 0
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    if args.ready:
        open(args.ready, "w").close()
    deadline = time.monotonic() + args.seconds
    while not stop and time.monotonic() < deadline:
        packet = peer.wire.receive(0.1)
        inner = packet and peer.open(packet)
        if not inner:
            continue
        echo = echo_of(inner)
        if echo and echo[0] == "request":
            peer.wire.send(peer.sa_out.encrypt(echo_reply(inner)))
            peer.result["answered"] += 1
    return peer.result


class Sender:
    """Carries out a plan: one method a step, which returns the packet to send, if any."""

    def __init__(self, args, peer):
        self.args, self.peer, self.sa = args, peer, peer.sa_out
        self.ident = os.getpid() & 0xFFFF
        self.number = 0             # echo sequence number of the step
        self.last_good = self.held = None

    def request(self, size=56, src=None):
        return echo_request(src or self.args.inner_src, self.args.inner_dst, self.ident, self.number,
                            size)

    def good(self, size=56):
        self.last_good = self.sa.encrypt(self.request(size))
        return self.last_good

    def flipped(self, offset):
        packet = self.sa.encrypt(self.request())
        data = bytearray(bytes(packet))
        data[offset % len(data)] ^= 1
        return type(packet)(bytes(data))

    def esp_offset(self):
        return (40 if ":" in self.args.local else 20) + (UDP_HEADER if self.sa.encap else 0)

    def step_ok(self, _):
        return self.good()

    def step_big(self, size):
        return self.good(size)

    def step_skip(self, count):
        self.sa.seq += count

    def step_hold(self, _):
        self.held = self.sa.encrypt(self.request())

    def step_late(self, _):
        return self.held

    def step_replayed(self, _):
        return self.last_good

    def step_old(self, distance):
        return self.sa.encrypt(self.request(), seq=self.sa.seq - distance)

    def step_tampered(self, _):
        return self.flipped(-1)

    def step_tampered_data(self, _):
        return self.flipped(self.esp_offset() + ESP_HEADER + self.sa.iv_size)

    def step_tampered_seq(self, _):
        return self.flipped(self.esp_offset() + ESP_HEADER - 1)

    def step_unknown_spi(self, _):
        at = self.esp_offset()
        data = bytearray(bytes(self.sa.encrypt(self.request())))
        data[at + 1] ^= 0xF0
        return ip_class(self.args.local)(bytes(data))

    def step_foreign(self, _):
        foreign = "2001:db8:ffff::9" if ":" in self.args.inner_src else "198.51.100.9"
        return self.sa.encrypt(self.request(src=foreign))

    def step_short(self, _):
        packet = self.sa.encrypt(self.request())
        cut = type(packet)(bytes(packet)[:self.esp_offset() + ESP_HEADER + self.sa.iv_size // 2])
        for layer, field in ((IP, "len"), (IP, "chksum"), (IPv6, "plen"), (UDP, "len")):
            if layer in cut:
                delattr(cut[layer], field)
        return type(packet)(bytes(cut))

    def step_dummy(self, _):
        outer = self.sa.scapy.tunnel_header
        body = Raw(bytes(64))
        if outer.version == 6:
            inner = IPv6(src=outer.src, dst=outer.dst, nh=NO_NEXT_HEADER) / body
        else:
            inner = IP(src=outer.src, dst=outer.dst, proto=NO_NEXT_HEADER) / body
        return self.sa.encrypt(inner, scapy_sa=self.sa.make())

    def step_clear(self, _):
        return self.request()

    def wait(self, seconds, expected):
        """How often a request is answered within the time; ends early at `expected`."""
        answers = 0
        deadline = time.monotonic() + seconds
        while answers < expected and time.monotonic() < deadline:
            packet = self.peer.wire.receive(deadline - time.monotonic())
            inner = packet and self.peer.open(packet)
            echo = inner and echo_of(inner)
            if echo and echo[:2] == ("reply", self.ident):
                self.answers[echo[2]] = self.answers.get(echo[2], 0) + 1
                answers += 1
        return answers

    ANSWERED = ("ok", "big", "late")

    def run(self, plan):
        self.answers = {}
        steps = []
        for step in plan:
            name, _, value = step.partition(":")
            self.number += 1
            packet = getattr(self, "step_" + name.replace("-", "_"))(int(value or 0))
            before = sum(self.answers.values())
            if packet is not None:
                self.peer.wire.send(packet)
                self.wait(self.args.wait if name in self.ANSWERED else self.args.silence, 1)
            steps.append({"step": step, "answered": sum(self.answers.values()) - before})
        return steps


def run_send(args):
    peer = Peer(args)
    sender = Sender(args, peer)
    known = {name[5:].replace("_", "-") for name in dir(Sender) if name.startswith("step_")}
    plan = args.plan.split(",")
    for step in plan:
        if step.partition(":")[0] not in known:
            sys.exit("esp_peer: unknown step %s; steps are: %s" % (step, " ".join(sorted(known))))
    peer.result["steps"] = sender.run(plan)
    peer.result["answered"] = "".join(str(s["answered"]) for s in peer.result["steps"])
    return peer.result


def check_pcap(path, sas):
    """Verify a capture against SAs ({spi: Sa}). An IV may come once a key: RFC 4106 section 3.1. (CBC's
    are random.)

    A packet that is captured twice would be called a duplicate, so capture at one device only.
    """
    result = {"packets": 0, "esp": 0, "icv_good": 0, "icv_bad": 0, "unknown_spi": 0, "iv_reused": 0,
              "seq_reused": 0, "by_spi": {}}
    ivs, seqs = set(), set()
    for frame in PcapReader(path):
        result["packets"] += 1
        packet = frame.getlayer(IPv6) if IPv6 in frame else frame.getlayer(IP)
        esp = packet and find_esp(packet)
        if not esp:
            continue
        result["esp"] += 1
        sa = sas.get(esp[ESP].spi)
        if sa is None:
            result["unknown_spi"] += 1
            continue
        inner, seq = sa.decrypt(esp)
        result["icv_bad" if inner is None else "icv_good"] += 1
        iv = bytes(esp[ESP])[ESP_HEADER:ESP_HEADER + sa.iv_size]
        result["iv_reused"] += bool(iv) and (sa.key, iv) in ivs
        result["seq_reused"] += (sa.spi, seq) in seqs
        ivs.add((sa.key, iv))
        seqs.add((sa.spi, seq))
        spi = result["by_spi"].setdefault("0x%x" % sa.spi,
                                          {"packets": 0, "seq_min": seq, "seq_max": seq})
        spi["packets"] += 1
        spi["seq_min"], spi["seq_max"] = min(spi["seq_min"], seq), max(spi["seq_max"], seq)
    return result


def run_check(args):
    return check_pcap(args.pcap, {sa.spi: sa for sa in sas_of(args)})


def parse_args():
    number = lambda text: int(text, 0)  # noqa: E731
    ports = lambda text: tuple(int(port) for port in text.split(":"))  # noqa: E731
    key = lambda text: bytes.fromhex(text.removeprefix("0x"))  # noqa: E731
    sa = argparse.ArgumentParser(add_help=False)
    for name, kind in (("local", str), ("remote", str), ("spi-in", number), ("key-in", key),
                       ("spi-out", number), ("key-out", key)):
        sa.add_argument("--" + name, type=kind, required=True)
    sa.add_argument("--esn", action="store_true")
    sa.add_argument("--seq", type=number, default=0)
    sa.add_argument("--auth", choices=AUTH_KEY)
    sa.add_argument("--crypt", choices=CRYPT_ALGOS)
    sa.add_argument("--encap", type=ports)

    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    answer = commands.add_parser("answer", parents=[sa])
    answer.add_argument("--dev", required=True)
    answer.add_argument("--seconds", type=float, default=60)
    answer.add_argument("--ready")
    send = commands.add_parser("send", parents=[sa])
    send.add_argument("--dev", required=True)
    send.add_argument("--inner-src", required=True)
    send.add_argument("--inner-dst", required=True)
    send.add_argument("--plan", required=True)
    send.add_argument("--wait", type=float, default=3, help="seconds, for steps that are answered")
    send.add_argument("--silence", type=float, default=0.2, help="seconds, for steps that are not")
    check = commands.add_parser("check", parents=[sa])
    check.add_argument("--pcap", required=True)
    return parser.parse_args()


def main():
    args = parse_args()
    run = {"answer": run_answer, "send": run_send, "check": run_check}[args.command]
    json.dump(run(args), sys.stdout)
    print()


if __name__ == "__main__":
    main()
