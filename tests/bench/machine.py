# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where and when a benchmark ran, and a number that may be missing."""
import os
import platform
import time


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def number(value, form, scale=1):
    return "-" if value is None else form % (scale * value)
