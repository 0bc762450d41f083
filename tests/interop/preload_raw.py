# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""XFRM netlink by Python's own sockets, in the ways that its netlink libraries use them."""

import errno
import select
import socket
import struct

NETLINK_XFRM = 6
SOL_NETLINK = 270
GETSADINFO, NEWSADINFO, GETSA, DONE, ERROR = 0x23, 0x22, 0x12, 3, 2
XFRM = (socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_XFRM)


def request(msg_type, flags, seq, body=b"\0\0\0\0"):
    return struct.pack("=IHHII", 16 + len(body), msg_type, flags, seq, 0) + body


def kind(data):
    return struct.unpack_from("=IHHII", data)[1]


with socket.socket(*XFRM) as s:
    print("family", s.family == socket.AF_NETLINK, "protocol", s.proto)
    s.bind((0, 0))
    print("bound", s.getsockname()[0] != 0, s.getsockname()[1])
    s.settimeout(5)
    s.sendto(request(GETSADINFO, 1, 1), (0, 0))
    data, sender = s.recvfrom(65536)
    print("answer", kind(data) == NEWSADINFO, "from", sender)
    s.send(request(GETSA, 0x301, 2, b""))
    while kind(data := s.recv(65536, socket.MSG_PEEK | socket.MSG_TRUNC)) != DONE:
        s.recv(65536)
    print("dump ends")
    s.recv(65536)
    s.setblocking(False)
    try:
        s.recv(100)
    except BlockingIOError:
        print("nothing more")
    s.send(request(GETSADINFO, 1, 3))
    print("answer is there", kind(s.recv(100)) == NEWSADINFO)
    s.setsockopt(SOL_NETLINK, 1, 3)
    print("groups", struct.unpack("=I", s.getsockopt(SOL_NETLINK, 9, 4))[0])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    s.send(request(GETSADINFO, 1, 4))
    data, ancillary, flags, sender = s.recvmsg(4096, 256)
    print("credentials", [struct.unpack("=III", c[2]) for c in ancillary], flags)
    poll = select.poll()
    poll.register(s, select.POLLIN | select.POLLOUT)
    print("ready to send", poll.poll(0)[0][1] == select.POLLOUT)
    copy = socket.socket(fileno=s.detach())
    print("by number", copy.family == socket.AF_NETLINK, copy.proto)
    try:
        copy.sendto(request(GETSADINFO, 1, 5), (4242424, 0))
    except OSError as e:
        print("to nobody", errno.errorcode[e.errno])
    copy.close()
