#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
notify_wait.py SOCKET SECONDS: be systemd to a daemon; 0 once READY=1 has come. What came goes to the file that
XI_NOTIFY_LOG names.
"""
import os
import socket
import sys
import time


def main():
    path, seconds = sys.argv[1], float(sys.argv[2])
    deadline = time.monotonic() + seconds
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return 1
        sock.settimeout(left)
        try:
            message = sock.recv(4096)
        except socket.timeout:
            return 1
        if "XI_NOTIFY_LOG" in os.environ:
            with open(os.environ["XI_NOTIFY_LOG"], "ab") as log:
                log.write(message + b"\n")
        if b"READY=1" in message.split(b"\n"):
            return 0


sys.exit(main())
