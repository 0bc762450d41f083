#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
XFRM requests that `ip xfrm` has no words for, one after the other: prints the error number of each, or the answer, and
what the multicast groups hear of it. What differs by its nature (times, indexes, numbers of ACQUIREs) is left out.
"""
import select
import socket
import struct

NETLINK_XFRM = 6
NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY, ALLOCSPI, ACQUIRE = range(16, 24)
FLUSHSA, FLUSHPOLICY, NEWAE, GETAE, MIGRATE = 28, 29, 30, 31, 33
POLEXPIRE = 27
ENCAP, TMPL, SEC_CTX, LTIME, REPLAY_VAL, REPLAY_THRESH, ETIMER_THRESH = 4, 5, 8, 9, 10, 11, 12
COADDR, LASTUSED, POLICY_TYPE, MIGRATE_ATTR, ALG_AEAD, KMADDRESS = 14, 15, 16, 17, 18, 19
PAD, OFFLOAD_DEV, IF_ID, MTIMER_THRESH = 27, 28, 31, 32
ESP, AH = 50, 51
TRANSPORT, TUNNEL = 0, 1
IN, OUT, FWD = 0, 1, 2
REQUEST, ACK, REPLACE = 1, 4, 0x100
GROUPS = (ACQUIRE_GROUP, POLICY_GROUP, AEVENTS_GROUP, MIGRATE_GROUP) = (1, 4, 5, 7)
A, B, C, D = "192.0.2.1", "192.0.2.2", "198.51.100.7", "203.0.113.9"
names = {NEWSA: "NEWSA", NEWPOLICY: "NEWPOLICY", DELPOLICY: "DELPOLICY", ACQUIRE: "ACQUIRE", NEWAE: "NEWAE", MIGRATE: "MIGRATE"}


def family(text):
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def addr(text):
    return socket.inet_pton(family(text), text).ljust(16, b"\0")


def attr(kind, data=b""):
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(kind, value):
    return attr(kind, struct.pack("I", value))


def selector(src, dst, bits):
    return addr(dst) + addr(src) + struct.pack("8xHBBB3xii", family(dst), bits, bits, 0, 0, 0)


NO_LIMIT = struct.pack("4Q4Q", *[2 ** 64 - 1] * 4, *[0] * 4)


def usersa(src, dst, spi, proto=ESP, mode=TUNNEL, reqid=7):
    ident = addr(dst) + struct.pack("!I", spi) + struct.pack("B3x", proto)
    rest = struct.pack("IIHBBB7x", 0, reqid, family(dst), mode, 0, 0)
    return selector("0.0.0.0", "0.0.0.0", 0) + ident + addr(src) + NO_LIMIT + bytes(32) + bytes(12) + rest


def aead(n):
    key = struct.pack("I", n).ljust(20, b"k")
    return attr(ALG_AEAD, struct.pack("64sII", b"rfc4106(gcm(aes))", 160, 128) + key)


def userpolicy(src, dst, direction, bits=16, priority=100, index=0):
    tail = struct.pack("IIBBBB4x", priority, index, direction, 0, 0, 0)
    return selector(src, dst, bits) + NO_LIMIT + bytes(32) + tail


def tmpl(src, dst, mode=TUNNEL, proto=ESP, reqid=7):
    ident = addr(dst) + struct.pack("!I", 0) + struct.pack("B3x", proto)
    return ident + struct.pack("H2x", family(dst)) + addr(src) + struct.pack("IBBB1x3I", reqid, mode, 0, 0, *[2 ** 32 - 1] * 3)


def policyid(src, dst, direction, bits=16):
    return selector(src, dst, bits) + struct.pack("IB3x", 0, direction)


def item(old, new, mode=TUNNEL, proto=ESP, reqid=7, new_family=None):
    return (addr(old[1]) + addr(old[0]) + addr(new[1]) + addr(new[0]) +
            struct.pack("BBHIHH", proto, mode, 0, reqid, family(old[0]), new_family or family(new[0])))


def encap(sport, dport, kind=2):
    return attr(ENCAP, struct.pack("H", kind) + struct.pack("!HH", sport, dport) + bytes(18))


def acquire(src, dst, direction=OUT):
    ident = addr(dst) + struct.pack("!I", 0) + struct.pack("B3x", ESP)
    return (ident + addr(src) + selector("10.1.0.1", "10.2.0.1", 32) + userpolicy("10.1.0.0", "10.2.0.0", direction) +
            struct.pack("4I", 1, 2, 4, 99))


def aevent(src, dst, spi, flags):
    ident = addr(dst) + struct.pack("!I", spi) + struct.pack("HB1x", family(dst), ESP)
    return ident + addr(src) + struct.pack("II", flags, 0)


def usersa_id(dst, spi):
    return addr(dst) + struct.pack("!I", spi) + struct.pack("HB1x", family(dst), ESP)


def attrs_of(data, body):
    at = 16 + body
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        yield kind, data[at + 4:at + length]
        at += (length + 3) & ~3


def without_policy_times(info):
    """xfrm_userpolicy_info without use counts, times and index"""
    return info[:120] + bytes(32) + info[152:156] + bytes(4) + info[160:]


BODIES = {NEWSA: 224, MIGRATE: 64, ACQUIRE: 280, NEWAE: 48, NEWPOLICY: 168, POLEXPIRE: 176, FLUSHPOLICY: 0, DELPOLICY: 64}


def show(data):
    kind = struct.unpack_from("H", data, 4)[0]
    body = data[16:16 + BODIES.get(kind, 0)]
    if kind == ACQUIRE:
        body = body[:96] + without_policy_times(body[96:264]) + body[264:276] + (b"seq" if any(body[276:280]) else b"")
    elif kind == NEWPOLICY:
        body = without_policy_times(body)
    elif kind == NEWSA:
        body = body[:160] + bytes(32) + body[192:]
    print("   ", names.get(kind, kind), body.hex())
    for a, value in attrs_of(data, BODIES.get(kind, 0)):
        if a == PAD:
            continue
        if a == LTIME:
            value = value[:16] + bytes(16)
        print("      ", a, value.hex())


class Peer:
    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
        self.sock.bind((0, 0))
        self.news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
        self.news.bind((0, sum(1 << (g - 1) for g in GROUPS)))
        self.seq = 0
        # an answer on this socket: from here on it is a member of its groups
        self.news.send(struct.pack("IHHII", 40, GETSA, REQUEST, 1, 0) + usersa_id(B, 1))
        self.news.recv(65536)

    def ask(self, name, kind, body, *attrs, flags=ACK):
        payload = body + b"".join(attrs)
        self.seq += 1
        self.sock.send(struct.pack("IHHII", 16 + len(payload), kind, REQUEST | flags, self.seq, 0) + payload)
        data = self.sock.recv(65536)
        if struct.unpack_from("H", data, 4)[0] == 2:
            print(name, struct.unpack_from("i", data, 16)[0])
        else:
            print(name)
            show(data)
        while select.select([self.news], [], [], 0.03)[0]:
            show(self.news.recv(65536))


def migrations(p):
    sel = ("10.1.0.0", "10.2.0.0", OUT)
    moved = item((A, B), (C, B))
    p.ask("policy", NEWPOLICY, userpolicy("10.1.0.0", "10.2.0.0", OUT), attr(TMPL, tmpl(A, B)))
    p.ask("SA", NEWSA, usersa(A, B, 0x1001), aead(1), u32(REPLAY_THRESH, 17), attr(COADDR, addr(D)))
    p.ask("no items", MIGRATE, policyid(*sel))
    p.ask("seven items", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, b"".join(item((A, B), (C, B), reqid=n) for n in range(7))))
    p.ask("one item twice", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, moved + moved))
    p.ask("to nowhere", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((A, B), (C, "0.0.0.0"))))
    p.ask("from nowhere", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((A, B), ("0.0.0.0", B))))
    p.ask("of another policy", MIGRATE, policyid("10.8.0.0", "10.9.0.0", OUT), attr(MIGRATE_ATTR, moved))
    p.ask("of another direction", MIGRATE, policyid("10.1.0.0", "10.2.0.0", FWD), attr(MIGRATE_ATTR, moved))
    p.ask("direction 3", MIGRATE, policyid("10.1.0.0", "10.2.0.0", 3), attr(MIGRATE_ATTR, moved))
    p.ask("another reqid", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((A, B), (C, B), reqid=8)))
    p.ask("another mode", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((A, B), (C, B), mode=TRANSPORT)))
    p.ask("type 77", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, moved), attr(POLICY_TYPE, b"\x4d" + bytes(5)))
    p.ask("the SA is as it was", GETSA, usersa_id(B, 0x1001), flags=0)
    p.ask("moved", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, moved),
          attr(KMADDRESS, addr(C) + addr(B) + struct.pack("IH2x", 0, socket.AF_INET)))
    p.ask("the SA there", GETSA, usersa_id(B, 0x1001), flags=0)
    p.ask("its thresholds", GETAE, aevent(C, B, 0x1001, 1 | 8), flags=0)
    p.ask("the policy", GETPOLICY, policyid(*sel), flags=0)
    p.ask("any reqid, and encapsulation", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((C, B), (C, D), reqid=0)),
          encap(4500, 4501))
    p.ask("not at the old place", GETSA, usersa_id(B, 0x1001), flags=0)
    p.ask("at the new one", GETSA, usersa_id(D, 0x1001), flags=0)
    p.ask("keeps its encapsulation", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((C, D), (A, B))))
    p.ask("back", GETSA, usersa_id(B, 0x1001), flags=0)
    p.ask("in the way", NEWSA, usersa(A, D, 0x1001, reqid=9), aead(2))
    p.ask("onto another", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((A, B), (A, D))))
    p.ask("still there", GETSA, usersa_id(B, 0x1001), flags=0)
    p.ask("the policy without its SA", DELSA, usersa_id(B, 0x1001))
    p.ask("can be moved too", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, moved))
    p.ask("another family", NEWSA, usersa(C, B, 0x1002), aead(3))
    p.ask("in a tunnel", MIGRATE, policyid(*sel), attr(MIGRATE_ATTR, item((C, B), ("2001:db8::1", "2001:db8::2"))))
    p.ask("the policy then", GETPOLICY, policyid(*sel), flags=0)
    p.ask("the SA then", GETSA, usersa_id("2001:db8::2", 0x1002), flags=0)


def acquires(p):
    both = attr(TMPL, tmpl("10.1.0.254", "10.2.0.254") + tmpl(A, B, proto=AH))
    p.ask("ACQUIRE without templates", ACQUIRE, acquire(A, B))
    p.ask("ACQUIRE", ACQUIRE, acquire(C, D), both)
    p.ask("ACQUIRE of fwd", ACQUIRE, acquire(C, D, FWD), attr(TMPL, tmpl(A, B)))
    p.ask("ACQUIRE of nothing", ACQUIRE, acquire(C, D, 3), both)
    p.ask("ACQUIRE by TCP", ACQUIRE, acquire(C, D), attr(TMPL, tmpl(A, B, proto=6)))


def events(p):
    p.ask("SA", NEWSA, usersa(A, B, 0x3001), aead(4), u32(REPLAY_THRESH, 5), u32(ETIMER_THRESH, 600))
    p.ask("GETAE", GETAE, aevent(A, B, 0x3001, 0), flags=0)
    p.ask("GETAE of thresholds", GETAE, aevent(A, B, 0x3001, 1), flags=0)
    p.ask("NEWAE of nothing", NEWAE, aevent(A, B, 0x3001, 0), flags=ACK | REPLACE)
    p.ask("NEWAE without replace", NEWAE, aevent(A, B, 0x3001, 0), u32(REPLAY_THRESH, 50))
    p.ask("NEWAE", NEWAE, aevent(A, B, 0x3001, 0), u32(REPLAY_THRESH, 50), flags=ACK | REPLACE)
    p.ask("GETAE again", GETAE, aevent(A, B, 0x3001, 1), flags=0)
    p.ask("NEWAE of none", NEWAE, aevent(A, B, 0x3002, 0), u32(REPLAY_THRESH, 50), flags=ACK | REPLACE)


def attributes(p):
    hint = struct.pack("iB3x", 1, 2)
    p.ask("crypto offload", NEWSA, usersa(A, B, 0x4001), aead(5), attr(OFFLOAD_DEV, hint))
    p.ask("is not told", GETSA, usersa_id(B, 0x4001), flags=0)
    p.ask("offload of what is padded", NEWSA, usersa(A, B, 0x4002), aead(6), attr(OFFLOAD_DEV, hint), u32(22, 64))
    p.ask("offload flags", NEWSA, usersa(A, B, 0x4002), aead(6), attr(OFFLOAD_DEV, struct.pack("iB3x", 1, 128)))
    p.ask("a short security context", NEWSA, usersa(A, B, 0x4003), aead(7), attr(SEC_CTX, struct.pack("HHBBH", 9, 8, 0, 0, 1)))
    p.ask("MTIMER without encap", NEWSA, usersa(A, B, 0x4005), aead(9), u32(MTIMER_THRESH, 5))
    p.ask("MTIMER", NEWSA, usersa(A, B, 0x4006), aead(10), u32(MTIMER_THRESH, 5), encap(4500, 4500))
    p.ask("is told", GETSA, usersa_id(B, 0x4006), flags=0)


def main():
    p = Peer()
    migrations(p)
    acquires(p)
    events(p)
    attributes(p)


main()
