#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Packets that meet a policy without an SA.

  trapped.py receive PORT READY      prints the text of each UDP datagram as it comes; answers TCP connections with what
                                     they say; makes file READY when it can
  trapped.py send SOURCE TARGET PORT FLOWS EACH [PAUSE]
                                     from FLOWS source ports, in turns, EACH datagrams "FLOW NUMBER", PAUSE seconds between
                                     them
  trapped.py spray SOURCE PREFIX N   N datagrams, each to an address PREFIX.x.y and a port of its own; PREFIX: two bytes
  trapped.py connect TARGET PORT S   says something over TCP and waits S seconds for the echo; prints how many segments
                                     were sent again
"""
import random
import select
import socket
import struct
import sys
import time

TCP_INFO_RETRANS = 100          # offset of tcpi_total_retrans in struct tcp_info


def receive(port, ready):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)     # SO_RCVBUFFORCE
    udp.bind(("", int(port)))
    tcp = socket.create_server(("", int(port)), backlog=16)
    open(ready, "w").close()
    socks = [udp, tcp]
    while True:
        for sock in select.select(socks, [], [])[0]:
            if sock is udp:
                print(udp.recv(65535)[:40].decode().strip("\0"), flush=True)
            elif sock is tcp:
                socks.append(tcp.accept()[0])
            else:
                data = sock.recv(4096)
                if data:
                    sock.sendall(data)
                else:
                    socks.remove(sock)
                    sock.close()


def send(source, target, port, flows, each, pause=0):
    socks = []
    for _ in range(int(flows)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        socks.append(sock)
    for number in range(int(each)):
        for flow, sock in enumerate(socks):
            sock.sendto(b"%d %d" % (flow, number), (target, int(port)))
        time.sleep(float(pause))


def spray(source, prefix, count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    for _ in range(int(count)):
        address = "%s.%d.%d" % (prefix, random.randrange(256), random.randrange(1, 255))
        sock.sendto(b"spray", (address, random.randrange(1024, 65536)))


def connect(target, port, seconds):
    sock = socket.create_connection((target, int(port)), timeout=float(seconds))
    sock.settimeout(float(seconds))
    sock.sendall(b"hello")
    if sock.recv(100) != b"hello":
        sys.exit("no echo")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    print(struct.unpack_from("=I", info, TCP_INFO_RETRANS)[0])


if __name__ == "__main__":
    {f.__name__: f for f in (receive, send, spray, connect)}[sys.argv[1]](*sys.argv[2:])
