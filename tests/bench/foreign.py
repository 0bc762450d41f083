#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a gateway's XDP programs cost traffic that is none of its business.

  foreign.py RUNS REPEAT DEV=cipher|plain...

Runs the program that is attached to each device on frames that it leaves to the kernel, in the network
namespace of the gateway: RUNS times REPEAT of them by BPF_PROG_TEST_RUN, all frames in turns. Prints a
JSON object: nanoseconds a packet, the least of the runs, by port role and frame: a run is short enough
that some are not disturbed, and a program that does the same each time is not faster than it is. Everything is in the cache then: what a receiver
pays for a cold frame, it pays without the program as soon as the stack looks at it.
"""
import json
import struct
import subprocess
import sys
import tempfile

XDP_PASS = 2
# the gateway's ports, as in topology.sh
OWN = {"cipher": bytes.fromhex("020000000201"), "plain": bytes.fromhex("020000000101")}
OTHER, SENDER = bytes.fromhex("02000000aaaa"), bytes.fromhex("020000000202")


def ipv4(proto, dst, payload):
    head = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0,
                       198, 51, 100, 7, *dst)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + payload


def tcp():
    return struct.pack("!HHIIBBHHH", 40000, 443, 1, 1, 0x50, 0x10, 1000, 0, 0) + bytes(24)


def frames(role):
    arp = (struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + SENDER + bytes((192, 0, 2, 2)) + bytes(6) +
           bytes((192, 0, 2, 9)))
    yield "ARP", bytes(b"\xff" * 6) + SENDER + b"\x08\x06" + arp + bytes(18)
    yield "VLAN", OWN[role] + SENDER + b"\x81\x00\x00\x05\x08\x00" + ipv4(6, (203, 0, 113, 9), tcp())
    yield "LLDP", bytes.fromhex("0180c200000e") + SENDER + b"\x88\xcc" + bytes(46)
    yield "TCP of other hosts", OTHER + SENDER + b"\x08\x00" + ipv4(6, (203, 0, 113, 9), tcp())
    yield "OSPF", bytes.fromhex("01005e000005") + SENDER + b"\x08\x00" + ipv4(89, (224, 0, 0, 5), bytes(44))


def call(*command):
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        sys.exit("foreign: %s: %s" % (" ".join(command), (done.stdout + done.stderr).strip()))
    return json.loads(done.stdout)


def run_program(link, frame, repeat):
    with tempfile.NamedTemporaryFile() as data, tempfile.NamedTemporaryFile() as context:
        data.write(frame)
        data.flush()
        context.write(struct.pack("=6I", 0, len(frame), 0, link["ifindex"], 0, 0))
        context.flush()
        return call("bpftool", "-j", "prog", "run", "id", str(link["xdp"]["prog"]["id"]),
                    "data_in", data.name, "ctx_in", context.name, "repeat", str(repeat))


def find_links(args):
    for arg in args:
        dev, role = arg.split("=", 1)
        link = call("ip", "-j", "-d", "link", "show", "dev", dev)[0]
        if "prog" not in link.get("xdp", {}):
            sys.exit("foreign: %s has no XDP program" % dev)
        yield role, link


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    links, least = list(find_links(sys.argv[3:])), {}
    for _ in range(int(sys.argv[1])):
        for role, link in links:
            for name, frame in frames(role):
                run = run_program(link, frame, int(sys.argv[2]))
                if run["retval"] != XDP_PASS:
                    sys.exit("foreign: %s on the %s port is not left to the kernel: verdict %d" %
                             (name, role, run["retval"]))
                key = "%s, %s" % (role, name)
                least[key] = min(run["duration"], least.get(key, run["duration"]))
    print(json.dumps(least))


main()
