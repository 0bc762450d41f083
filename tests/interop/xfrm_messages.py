# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""XFRM netlink messages: made from words of a script, and told in words that can be compared."""
import errno
import socket
import struct

NETLINK_XFRM = 6
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
ERROR, DONE = 2, 3
SECONDS = 20
BLOCK, ACCEPT = 1, 2
F_REQUEST, F_MULTI, F_ACK = 1, 2, 4
F_CAPPED, F_ACK_TLVS = 0x100, 0x200
FLAGS = {"ACK": F_ACK, "REPLACE": 0x100, "EXCL": 0x200, "CREATE": 0x400, "DUMP": 0x300, "NOREQUEST": 0}
TYPES = {0x10 + n: name for n, name in enumerate(
    "NEWSA DELSA GETSA NEWPOLICY DELPOLICY GETPOLICY ALLOCSPI ACQUIRE EXPIRE UPDPOLICY UPDSA POLEXPIRE FLUSHSA "
    "FLUSHPOLICY NEWAE GETAE REPORT MIGRATE NEWSADINFO GETSADINFO NEWSPDINFO GETSPDINFO MAPPING SETDEFAULT "
    "GETDEFAULT".split())}
NUMBERS = {name: n for n, name in TYPES.items()}
ATTRS = dict(enumerate(
    "UNSPEC ALG_AUTH ALG_CRYPT ALG_COMP ENCAP TMPL SA POLICY SEC_CTX LTIME_VAL REPLAY_VAL REPLAY_THRESH ETIMER_THRESH "
    "SRCADDR COADDR LASTUSED POLICY_TYPE MIGRATE ALG_AEAD KMADDRESS ALG_AUTH_TRUNC MARK TFCPAD REPLAY_ESN_VAL "
    "SA_EXTRA_FLAGS PROTO ADDRESS_FILTER PAD OFFLOAD_DEV SET_MARK SET_MARK_MASK IF_ID MTIMER_THRESH SA_DIR "
    "NAT_KEEPALIVE SA_PCPU".split()))
ATTR_NUMBERS = {name: n for n, name in ATTRS.items()}
# bytes between the header and the attributes, and where in them there is a time of the clock: add_time and use_time
BODIES = {"NEWSA": (224, (176,)), "UPDSA": (224, (176,)), "DELSA": (24, ()), "GETSA": (24, ()), "EXPIRE": (232, (176,)),
          "NEWPOLICY": (168, (136,)), "UPDPOLICY": (168, (136,)), "DELPOLICY": (64, ()), "POLEXPIRE": (176, (136,)),
          "ACQUIRE": (280, ()), "FLUSHSA": (4, ()), "FLUSHPOLICY": (0, ()), "NEWAE": (48, ()), "GETAE": (48, ()),
          "MIGRATE": (64, ()), "NEWSADINFO": (4, ()), "NEWSPDINFO": (4, ()), "GETDEFAULT": (4, ()), "MAPPING": (64, ())}
INDICES = {"NEWPOLICY": 156, "UPDPOLICY": 156, "POLEXPIRE": 156, "DELPOLICY": 56}
ANY_VALUE = ("LASTUSED", "SAD_HINFO", "SPD_HINFO")     # a time; sizes of hash tables
FIRST_INDEX = 0x1000    # that the script asks for
TIMES_IN_ATTRS = {"SA": 176, "POLICY": 136, "LTIME_VAL": 16}
INFO_ATTRS = {"NEWSADINFO": ("UNSPEC", "SAD_CNT", "SAD_HINFO"),
              "NEWSPDINFO": ("UNSPEC", "SPD_INFO", "SPD_HINFO", "SPD_IPV4_HTHRESH", "SPD_IPV6_HTHRESH")}


# parts of messages ------------------------------------------------------------------------------------------------------

def addr(text):
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return socket.inet_aton(text) + bytes(12)


def family_of(text):
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def attr(kind, data):
    kind = ATTR_NUMBERS.get(kind, kind)
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(kind, value):
    return attr(kind, struct.pack("I", value))


def u8(kind, value):
    return attr(kind, bytes([value]))


def aead(name="rfc4106(gcm(aes))", key=bytes(range(20)), icv=128):
    return attr("ALG_AEAD", struct.pack("64sII", name.encode(), len(key) * 8, icv) + key)


def algo(kind, name, key):
    return attr(kind, struct.pack("64sI", name.encode(), len(key) * 8) + key)


def replay(oseq=0, seq=0, bitmap=0):
    return attr("REPLAY_VAL", struct.pack("3I", oseq, seq, bitmap))


def esn(window, words, oseq=0, seq=0, oseq_hi=0, seq_hi=0, bmp=b""):
    return attr("REPLAY_ESN_VAL", struct.pack("6I", words, oseq, seq, oseq_hi, seq_hi, window) + bmp)


def ltime(bytes_=0, packets=0, add=0, use=0):
    return attr("LTIME_VAL", struct.pack("4Q", bytes_, packets, add, use))


def ptype(kind):
    return attr("POLICY_TYPE", struct.pack("B5x", kind))


def mark(value, mask=0xffffffff):
    return attr("MARK", struct.pack("II", value, mask))


def selector(src="0.0.0.0/0", dst="0.0.0.0/0", proto=0, ports=(0, 0, 0, 0), family=None, ifindex=0):
    (src, slen), (dst, dlen) = src.split("/"), dst.split("/")
    family = family_of(src) if family is None else family
    return addr(dst) + addr(src) + struct.pack("!HHHH", *ports) + \
        struct.pack("HBBB3xiI", family, int(dlen), int(slen), proto, ifindex, 0)


def limits(values=(2 ** 64 - 1,) * 4 + (0,) * 4):
    return struct.pack("8Q", *values)


def usersa(spi, proto=50, mode=1, flags=0, window=0, src="192.0.2.1", dst="192.0.2.2", family=None, sel=None, reqid=0,
           seq=0, lft=limits()):
    """struct xfrm_usersa_info"""
    return (selector() if sel is None else sel) + addr(dst) + struct.pack("!I", spi) + struct.pack("B3x", proto) + \
        addr(src) + lft + bytes(32) + bytes(12) + \
        struct.pack("IIHBBB7x", seq, reqid, family_of(dst) if family is None else family, mode, window, flags)


def usersa_id(spi, proto=50, dst="192.0.2.2", family=None):
    return addr(dst) + struct.pack("!I", spi) + struct.pack("HBx", family_of(dst) if family is None else family, proto)


def aevent(spi, flags=0, proto=50, src="192.0.2.1", dst="192.0.2.2", reqid=0, family=None):
    """struct xfrm_aevent_id"""
    return usersa_id(spi, proto, dst, family) + addr(src) + struct.pack("II", flags, reqid)


def expire(spi, hard, **words):
    return usersa(spi, **words) + struct.pack("B7x", hard)


def policy(src, dst, direction, index=0, priority=0, action=0, flags=0, share=0, lft=limits(), **words):
    """struct xfrm_userpolicy_info"""
    return selector(src, dst, **words) + lft + bytes(32) + \
        struct.pack("IIBBBB4x", priority, index, direction, action, flags, share)


def polexpire(src, dst, direction, hard, **words):
    return policy(src, dst, direction, **words) + struct.pack("B7x", hard)


def policy_id(src, dst, direction, index=0, **words):
    return selector(src, dst, **words) + struct.pack("IB3x", index, direction)


def template(src, dst, proto=50, mode=1, reqid=0, family=None, optional=0, share=0, spi=0):
    return addr(dst) + struct.pack("!I", spi) + struct.pack("B3x", proto) + \
        struct.pack("H2x", family_of(dst) if family is None else family) + addr(src) + \
        struct.pack("IBBBxIII", reqid, mode, share, optional, *[0xffffffff] * 3)


def tmpl(*templates):
    return attr("TMPL", b"".join(templates))


def migration(old_src, old_dst, new_src, new_dst, proto=50, mode=1, reqid=0):
    """struct xfrm_user_migrate"""
    return addr(old_dst) + addr(old_src) + addr(new_dst) + addr(new_src) + \
        struct.pack("BB2xIHH", proto, mode, reqid, family_of(old_dst), family_of(new_dst))


def migrate(*moves):
    return attr("MIGRATE", b"".join(moves))


def kmaddress(local, remote):
    return attr("KMADDRESS", addr(local) + addr(remote) + struct.pack("IH2x", 0, family_of(local)))


def addresses(src="0.0.0.0", dst="0.0.0.0", slen=0, dlen=0, family=socket.AF_INET):
    return attr("ADDRESS_FILTER", addr(src) + addr(dst) + struct.pack("HBB", family, slen, dlen))


def spi_range(low, high):
    return struct.pack("II", low, high)


def message(words):
    """`TYPE[|FLAG...] EXPRESSION`: type, flags, payload."""
    head, _, rest = words.partition(" ")
    kind, *flags = head.split("|")
    kind = NUMBERS[kind] if kind in NUMBERS else int(kind, 0)
    bits = 0 if "NOREQUEST" in flags else F_REQUEST
    for name in flags:
        bits |= FLAGS[name]
    return kind, bits, eval(rest or "b''", globals())  # pylint: disable=eval-used


# sockets ----------------------------------------------------------------------------------------------------------------

class Socket:
    def __init__(self, groups=0):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.bind((0, groups))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SECONDS, 0))
        self.seq = 0

    def send(self, kind, flags, payload, length=None):
        self.seq += 1
        length = 16 + len(payload) if length is None else length
        self.sock.send(struct.pack("IHHII", length, kind, flags, self.seq, 0) + payload)
        return self.seq

    def receive(self):
        """A list of (type, flags, seq, payload)."""
        data, found = self.sock.recv(65536), []
        while len(data) >= 16:
            length, kind, flags, seq, _ = struct.unpack_from("IHHII", data)
            found.append((kind, flags, seq, data[16:length]))
            data = data[(length + 3) & ~3:]
        return found

    def defaults(self):
        self.send(NUMBERS["GETDEFAULT"], F_REQUEST, bytes(3))
        return self.receive()[0][3][:3]

    def order(self, kind, payload):
        """A request that is acknowledged, or nothing more can be compared."""
        self.send(kind, F_REQUEST | F_ACK, payload)
        answer, flags, _, body = self.receive()[0]
        if describe(answer, flags, body) != "ACK":
            raise OSError("%s: %s" % (TYPES[kind], describe(answer, flags, body)))

    def ask(self, kind, flags, payload):
        """The answers, in words. Behind a request goes one that is always answered, for it may have no answer itself; a dump
        ends with DONE, and not before it is read."""
        first, last = self.send(kind, flags, payload), None
        dump, told = flags & FLAGS["DUMP"] and TYPES.get(kind) in ("GETSA", "GETPOLICY"), []
        while True:
            if last is None and not dump:
                last = self.send(NUMBERS["GETSADINFO"], F_REQUEST, struct.pack("I", 0))
            for answer, bits, seq, body in self.receive():
                if seq == last:
                    return told
                if seq == first:
                    told.append(describe(answer, bits, body))
                    dump = dump and answer not in (ERROR, DONE)


# in words ---------------------------------------------------------------------------------------------------------------

def attrs_of(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        if length < 4 or length > len(data):
            yield -1, data
            return
        yield kind & 0x3fff, data[4:length]
        data = data[(length + 3) & ~3:]


def hide_time(data, at):
    """The two times of a struct xfrm_lifetime_cur: that there is one is all that can be compared."""
    out = bytearray(data)
    for i in (at, at + 8):
        if i + 8 <= len(out) and any(out[i:i + 8]):
            out[i:i + 8] = b"\xff" * 8
    return bytes(out)


def hide_index(data, at):
    """What a policy has that names none: each counts as it likes, and the direction is in it."""
    index = struct.unpack_from("I", data, at)[0]
    if not 0 < index < FIRST_INDEX:
        return data
    return data[:at] + struct.pack("I", 0xffffff00 | index & 7) + data[at + 4:]


def describe(kind, flags, data):
    if kind == ERROR:
        return describe_error(flags, data)
    if kind == DONE:
        code = -struct.unpack_from("i", data)[0]
        return "DONE" + (" " + errno.errorcode.get(code, str(code)) if code else "")
    name = TYPES.get(kind, "type %d" % kind)
    size, times = BODIES.get(name, (0, ()))
    body = data[:size]
    for at in times:
        body = hide_time(body, at)
    if name in INDICES and len(body) == size:
        body = hide_index(body, INDICES[name])
    words = [name, body.hex()]
    for number, value in attrs_of(data[size:]):
        names = INFO_ATTRS.get(name, ATTRS)
        label = names[number] if number in range(len(names)) else str(number)
        if label == "PAD":      # where the machine cannot read 64 bits from everywhere
            continue
        if label in TIMES_IN_ATTRS:
            value = hide_time(value, TIMES_IN_ATTRS[label])
        if label == "POLICY":
            value = hide_index(value, INDICES["NEWPOLICY"])
        words.append(label + ("" if label in ANY_VALUE else "=" + value.hex()))
    return " ".join(words)


def describe_error(flags, data):
    code = -struct.unpack_from("i", data)[0]
    echoed = 16 if flags & F_CAPPED else struct.unpack_from("I", data, 4)[0]
    text = ""
    if flags & F_ACK_TLVS:
        for number, value in attrs_of(data[4 + ((echoed + 3) & ~3):]):
            if number == 1:
                text = value.rstrip(b"\0").decode()
    if not code:
        return "ACK"
    return "ERROR %s %s" % (errno.errorcode.get(code, code), text)
