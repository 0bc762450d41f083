# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Is what a peer sent what it should be? See tests/bench/peers.sh for the peers.

  fault(name, frame, sent)   None when the frame (bytes, Ethernet) is what the peer makes of one of the
                             generator's frames, sent; else a text that says what is wrong
  length(name, packet)       bytes of the frame that the peer makes of an IP packet of so many bytes

A forwarder's frames are the generator's, unchanged. A tunnel's are its own headers around as many bytes
as an encrypted packet of the generator has, and none of the clear text: the generator's payload is
zeros, of which sixteen in a row are in no ciphertext. That they decrypt is checked where a tunnel is
set up: nothing is measured before the other end has accepted a packet.
"""
import struct

PEERS = ("testpmd", "libipsec", "wireguard")
ETH, IPV4, UDP = 14, 20, 8
IPPROTO_UDP = 17
# name: addresses of both ends and the UDP port, as in peers.sh
TUNNELS = {
    "libipsec": ("198.51.100.1", "198.51.100.2", 4500),
    "wireguard": ("203.0.113.1", "203.0.113.2", 51820),
}
ESP, ESP_TRAILER, IV, ICV = 8, 2, 8, 16
WG_DATA, WG_HEADER, WG_TAG, WG_MTU = 4, 16, 16, 1500


def padded(length, unit):
    return -(-length // unit) * unit


def length(name, packet):
    if name == "libipsec":
        # RFC 3948, RFC 4303, RFC 4106
        return ETH + IPV4 + UDP + ESP + IV + padded(packet + ESP_TRAILER, 4) + ICV
    if name == "wireguard":
        # the WireGuard paper, section 5.4.6; implementations pad no further than to the MTU
        return ETH + IPV4 + UDP + WG_HEADER + min(padded(packet, 16), max(packet, WG_MTU)) + WG_TAG
    return ETH + packet


def checksum_good(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16) == 0xFFFF


def address(data):
    return ".".join(str(byte) for byte in data)


def udp_payload(name, frame):
    """The payload of the tunnel's UDP datagram, or a text that says why this is none."""
    source, destination, port = TUNNELS[name]
    head, udp = frame[ETH:ETH + IPV4], frame[ETH + IPV4:ETH + IPV4 + UDP]
    if len(frame) < ETH + IPV4 + UDP or frame[12:14] != b"\x08\x00" or head[0] != 0x45:
        return "no plain IPv4"
    if not checksum_good(head) or struct.unpack("!H", head[2:4])[0] != len(frame) - ETH:
        return "IPv4 header of wrong checksum or length"
    if struct.unpack("!H", head[6:8])[0] & 0x3FFF:
        return "a fragment"
    if (address(head[12:16]), address(head[16:20])) != (source, destination):
        return "from %s to %s" % (address(head[12:16]), address(head[16:20]))
    if head[9] != IPPROTO_UDP or struct.unpack("!HHH", udp[:6]) != (port, port, len(frame) - ETH - IPV4):
        return "no UDP datagram between ports %d" % port
    return frame[ETH + IPV4 + UDP:]


def tunnel_fault(name, frame, sent):
    payload = udp_payload(name, frame)
    if isinstance(payload, str):
        return payload
    if len(frame) not in {length(name, len(packet) - ETH) for packet in sent}:
        return "%d bytes, which no packet of the generator makes" % len(frame)
    if name == "libipsec":
        spi, number = struct.unpack("!II", payload[:ESP])
        if spi < 256 or not number:
            return "no ESP: SPI %d, sequence number %d" % (spi, number)
        cipher = payload[ESP + IV:]
    else:
        if payload[:4] != bytes([WG_DATA, 0, 0, 0]):
            return "no transport data message: %s" % payload[:4].hex()
        cipher = payload[WG_HEADER:]
    if bytes(16) in cipher:
        return "clear text"
    return None


def fault(name, frame, sent):
    if name in TUNNELS:
        return tunnel_fault(name, frame, sent)
    return None if frame in sent else "not a frame of the generator"
