#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What daemons cost that have nothing to do: CPU time of all their threads, as a share of a core.

  idle.py SECONDS NAME=PID...

Prints a JSON object: share of each.
"""
import glob
import json
import sys
import time


def cpu_ns(pid):
    total = 0
    for path in glob.glob("/proc/%s/task/*/schedstat" % pid):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    daemons = dict(arg.split("=", 1) for arg in sys.argv[2:])
    start = time.monotonic_ns()
    before = {name: cpu_ns(pid) for name, pid in daemons.items()}
    time.sleep(float(sys.argv[1]))
    took = time.monotonic_ns() - start
    print(json.dumps({name: (cpu_ns(pid) - before[name]) / took for name, pid in daemons.items()}))


main()
