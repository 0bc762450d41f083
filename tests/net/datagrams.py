#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""UDP datagrams of many sizes, and what became of each.

  datagrams.py answer PORT READY    answers each datagram with its length and SHA-256; makes file READY when it can; PORTs
                                    may be several, with commas
  datagrams.py send [OPTION...] SOURCE TARGET PORT SIZES
      sends one datagram a size (numbers and ranges of payload bytes: 0-3,1472), in order, nothing twice. Prints a line for
      each that was not answered with its own length and SHA-256: "SIZE told MTU", "SIZE bad" or "SIZE lost"; then "N ok"
      (none)         DF clear, and no MTU that the stack has learned before heeded
      df             DF set, and no MTU that the stack has learned before heeded; IPv6: not fragmented by the stack
      learn          DF set as the stack likes it: it heeds what it learned, and fragments by that
      burst=N        N datagrams of each size, sent without waiting; then one of 0 bytes is waited for. Prints
                     "N sent, M told MTU, S seconds": as many as the clock's seconds that the burst touched
      head=HEX       these bytes in front, such as the non-ESP marker (RFC 3948 section 2.2)
      wait=S         seconds until a datagram is lost (10)
  datagrams.py wire PCAP            prints a JSON object: of each source of ESP, AH and UDP packets: packets, fragments,
                                    packets in fragments, the longest packet, and what is wrong
"""
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time

IP_MTU_DISCOVER, IP_RECVERR = 10, 11
IPV6_MTU_DISCOVER, IPV6_RECVERR = 23, 25
PMTUDISC_WANT, PMTUDISC_PROBE, PMTUDISC_OMIT = 1, 3, 5
EE_LOCAL = 1
MARKER = bytes(4)
WINDOW = 8                      # datagrams on their way


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def parse_sizes(text):
    sizes = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        sizes += range(int(first), int(last or first) + 1)
    return sizes


def digest(data):
    return struct.pack("!I", len(data)) + hashlib.sha256(data).digest()


def answer(ports, ready):
    socks = []
    for port in ports.split(","):
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)     # SO_RCVBUFFORCE
            sock.bind((any_address, int(port)))
            socks.append(sock)
    open(ready, "w").close()
    while True:
        for sock in select.select(socks, [], [])[0]:
            data, peer = sock.recvfrom(65536)
            marker = MARKER if sock.getsockname()[1] == 4500 else b""
            try:
                sock.sendto(marker + digest(data), peer)
            except OSError:     # the one who asked sees that there is no answer
                pass


class Sender:
    def __init__(self, source, target, port, mode):
        self.v6 = ":" in target
        self.sock = socket.socket(family_of(target), socket.SOCK_DGRAM)
        level, discover, errors = ((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_RECVERR) if self.v6 else
                                   (socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_RECVERR))
        how = {"df": PMTUDISC_PROBE, "learn": PMTUDISC_WANT}.get(mode, PMTUDISC_OMIT)
        self.sock.setsockopt(level, discover, how)
        self.sock.setsockopt(level, errors, 1)
        if self.v6 and mode == "df":
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)     # SO_RCVBUFFORCE
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.sock.setblocking(False)
        self.sock.bind((source, 0))
        self.sock.connect((target, port))

    def error(self):
        """(bytes of the datagram that the error is about, MTU), None: no more errors."""
        try:
            data, control, _, _ = self.sock.recvmsg(65536, 4096, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return None
        for _, _, info in control:
            errno, origin, _, _, _, mtu, _ = struct.unpack_from("=IBBBBII", info)
            if errno == 90:     # EMSGSIZE
                return data, mtu if origin != EE_LOCAL else -mtu
        return data, 0

    def receive(self):
        """Answers and errors that are there: lists of (length, digest) and of (quoted bytes, MTU)."""
        answers, errors = [], []
        while True:
            got = self.error()
            if got is None:
                break
            errors.append(got)
        while True:
            try:
                answers.append(self.sock.recv(65536))
            except BlockingIOError:
                return answers, errors
            except OSError:     # of an error that the queue has had
                continue

    def send(self, data):
        # a refusal may be about an earlier datagram
        for _ in range(100):
            if self.send_once(data):
                return True
        return False

    def send_once(self, data):
        while True:
            try:
                self.sock.send(data)
                return True
            except BlockingIOError:
                select.select([], [self.sock], [], 1)
            except OSError as e:
                if e.errno == 90:
                    return False

    def wait(self, seconds):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.poll(seconds * 1000)


def send_all(sender, sizes, head, wait):
    """Each datagram begins with its number, as far as it has room, so that an error's quote tells it."""
    noise = os.urandom(65536)
    todo, flying, ok = list(enumerate(sizes)), {}, 0
    told = {}
    out = {}
    while todo or flying:
        while todo and len(flying) < WINDOW:
            n, size = todo.pop(0)
            data = head + (struct.pack("!Q", n) + noise)[:size]
            flying[n] = (digest(data), size, time.monotonic() + wait)
            if not sender.send(data):
                out[n] = "%d refused" % size
                del flying[n]
        sender.wait(0.1)
        answers, errors = sender.receive()
        for data, mtu in errors:
            if len(data) >= len(head) + 8:
                told[struct.unpack_from("!Q", data, len(head))[0]] = mtu
        for n in [n for n in told if n in flying]:
            out[n] = "%d told %d" % (flying.pop(n)[1], told[n])
        for data in answers:
            if data[:4] == MARKER and len(data) == 40:
                data = data[4:]
            for n in [n for n, f in flying.items() if f[0] == data][:1]:
                del flying[n]
                ok += 1
                break
            else:
                length = struct.unpack_from("!I", data)[0]
                for n in [n for n, f in flying.items() if len(head) + f[1] == length][:1]:
                    out[n] = "%d bad" % flying.pop(n)[1]
        for n in [n for n, f in flying.items() if time.monotonic() > f[2]]:
            out[n] = "%d lost" % flying.pop(n)[1]
    for n in sorted(out):
        print(out[n])
    print(ok, "ok")


def send_burst(sender, sizes, count, wait):
    start, told, mtus, answered = time.time(), 0, set(), 0
    sent = sum(sender.send(bytes(size)) for size in sizes for _ in range(count))
    sender.send(b"")
    due = time.monotonic() + wait
    while not answered and time.monotonic() < due:
        sender.wait(0.1)
        answers, errors = sender.receive()
        answered += sum(a == digest(b"") for a in answers)
        told += len(errors)
        mtus |= {mtu for _, mtu in errors}
    print("%d sent, %d told %s, %d seconds%s" % (sent, told, ",".join(map(str, sorted(mtus))) or "-",
                                                int(time.time()) - int(start) + 1, "" if answered else ", no end"))


def send(args):
    mode, burst, head, wait = "", 0, b"", 10
    while args[0] in ("df", "learn") or args[0].startswith(("burst=", "wait=", "head=")):
        option = args.pop(0)
        if option in ("df", "learn"):
            mode = option
        elif option.startswith("head="):
            head = bytes.fromhex(option[5:])
        elif option.startswith("burst="):
            burst = int(option[6:])
        else:
            wait = float(option[5:])
    source, target, port, sizes = args
    sender = Sender(source, target, int(port), mode)
    if burst:
        send_burst(sender, parse_sizes(sizes), burst, wait)
    else:
        send_all(sender, parse_sizes(sizes), head, wait)


def packets(path):
    with open(path, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def parse(frame):
    """source, destination, protocol, identification, offset, more, bytes of payload, bytes; None: neither ESP, AH nor UDP."""
    ip = frame[14:]
    if frame[12:14] == b"\x08\x00":
        total, ident, frag = struct.unpack_from("!HHH", ip, 2)
        head = (ip[0] & 15) * 4
        src, dst, proto = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]), ip[9]
        offset, more = (frag & 0x1fff) * 8, frag & 0x2000 != 0
        payload = total - head
    elif frame[12:14] == b"\x86\xdd":
        total = 40 + struct.unpack_from("!H", ip, 4)[0]
        src, dst = (socket.inet_ntop(socket.AF_INET6, ip[i:i + 16]) for i in (8, 24))
        proto, ident, offset, more, payload = ip[6], None, 0, False, total - 40
        if proto == 44:
            proto, _, frag, ident = struct.unpack_from("!BBHI", ip, 40)
            offset, more, payload = frag & ~7, frag & 1 != 0, payload - 8
    else:
        return None
    return (src, dst, proto, ident, offset, more, payload, total) if proto in (50, 51, 17) else None


def wire(path):
    sources, building = {}, {}
    for frame in packets(path):
        packet = parse(frame)
        if not packet:
            continue
        src, dst, proto, ident, offset, more, payload, total = packet
        s = sources.setdefault(src, {"packets": 0, "fragments": 0, "cut": 0, "longest": 0, "lengths": [], "wrong": []})
        s["longest"] = max(s["longest"], total)
        if total not in s["lengths"]:
            s["lengths"].append(total)
        if not offset and not more:
            s["packets"] += 1
            continue
        s["fragments"] += 1
        key = src, dst, proto, ident
        if not offset:
            s["packets"] += 1
            s["cut"] += 1
            if key in building:
                s["wrong"].append("identification %d again" % ident)
            building[key] = 0
        if building.get(key) != offset:
            s["wrong"].append("identification %d: a piece at %d, not %s" % (ident, offset, building.get(key)))
        building[key] = offset + payload
        if not more:
            building[key] = -1  # complete; not to be used again in this capture
    for key, end in building.items():
        if end != -1:
            sources[key[0]]["wrong"].append("identification %d: no end" % key[3])
    print(json.dumps(sources))


def main():
    command, *args = sys.argv[1:]
    {"answer": lambda: answer(*args), "send": lambda: send(args), "wire": lambda: wire(*args)}[command]()


main()
