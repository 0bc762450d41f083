#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's numbers: a table, JSON and an SVG drawing from the runs of run.sh.

  report.py --json FILE --svg FILE RUNS.jsonl

A figure is the median over the rounds. A ratio to plain forwarding is taken within each round, and
then its median: once of the rates, and once of the CPU time a packet that the gateway's thread used
(by CPU). The two agree where the gateway has its core to itself (column core); the second also holds
where other work takes part of it, though caches that are shared still blur it. Status 1 when, by
CPU, ESP at 1408 bytes, with the best engine measured, is below TARGET of plain forwarding either
way, or when the gateway had its core too little for a judgement.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import time
from html import escape

IMIX_MEAN = (7 * 64 + 4 * 576 + 1500) / 12
TARGET = 0.8
CORE_ENOUGH = 0.9
CASES = {
    "redirect": ("XDP redirect", "#9aa5b1"),
    "forward": ("AF_XDP forwarding", "#52606d"),
    "encrypt-ipsec-mb": ("encrypt, ipsec-mb", "#1f6fb2"),
    "decrypt-ipsec-mb": ("decrypt, ipsec-mb", "#72b1e4"),
    "encrypt-openssl": ("encrypt, openssl", "#b5541c"),
    "decrypt-openssl": ("decrypt, openssl", "#eea877"),
}
SIZES = {"64": "64 B", "512": "512 B", "1408": "1408 B", "imix": "IMIX"}


def inner_bytes(size):
    return IMIX_MEAN if size == "imix" else int(size)


def read_runs(path):
    runs = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            run = json.loads(line)
            runs.setdefault((run["size"], run["case"]), {})[run["round"]] = run
    return runs


def cpu_ns(run):
    return run["cpu"] / run["packets"] * 1e9


def ratios(runs, size, case, value):
    """Of each round that has both: value(plain forwarding, this case)."""
    plain = runs.get((size, "forward"), {})
    return [value(plain[number], run) for number, run in runs[size, case].items() if number in plain]


def median(values):
    return statistics.median(values) if values else None


def summarize(runs, size, case):
    rounds = list(runs[size, case].values())
    mpps = [run["mpps"] for run in rounds]
    out = {
        "case": case, "size": size, "rounds": len(rounds),
        "mpps": median(mpps), "mpps_min": min(mpps), "mpps_max": max(mpps),
        "gbps": median(mpps) * inner_bytes(size) * 8 / 1e3,
        "ns": 1e3 / median(mpps),
        "cpu_ns": median([cpu_ns(run) for run in rounds if "cpu" in run]),
        "offered_mpps": median([run["offered"] for run in rounds]),
    }
    out["core"] = median([run["cpu"] / run["seconds"] for run in rounds if "cpu" in run])
    out["lost"] = max(0.0, 1 - out["mpps"] / out["offered_mpps"])
    if case != "redirect":
        out["ratio"] = median(ratios(runs, size, case, lambda plain, run: run["mpps"] / plain["mpps"]))
        out["cpu_ratio"] = median(ratios(runs, size, case,
                                         lambda plain, run: cpu_ns(plain) / cpu_ns(run)))
    return out


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def number(value, form):
    return "-" if value is None else form % value


def print_table(results):
    columns = "%-7s %-18s %6s %15s %6s %7s %7s %9s %7s %5s %5s"
    print(columns % ("packet", "case", "Mpps", "(min..max)", "Gbps", "ns/pkt", "CPU ns",
                     "ESP/plain", "by CPU", "core", "lost"))
    for result in results:
        spread = "(%.3f..%.3f)" % (result["mpps_min"], result["mpps_max"])
        print(columns % (
            SIZES[result["size"]], CASES[result["case"]][0], "%.3f" % result["mpps"], spread,
            "%.2f" % result["gbps"], "%.0f" % result["ns"], number(result["cpu_ns"], "%.0f"),
            number(result.get("ratio"), "%.2f"), number(result.get("cpu_ratio"), "%.2f"),
            number(result["core"], "%.2f"), "%.0f%%" % (100 * result["lost"])))


def draw(results, path):
    """Bars of Mpps, a group for each size; on top of an ESP bar its ratio to plain forwarding."""
    left, top, height, bar, gap = 50, 46, 260, 30, 34
    sizes = [size for size in SIZES if any(r["size"] == size for r in results)]
    cases = [case for case in CASES if any(r["case"] == case for r in results)]
    group = len(cases) * bar + gap
    width = left + len(sizes) * group + 20
    most = max(r["mpps"] for r in results)
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10) if most / s <= 8)
    scale = height / (step * (int(most / step) + 1))
    base = top + height
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" '
           'font-size="11">' % (width, base + 80),
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="%d" y="20" font-size="14">Mpps on one core, by packet size; above the bars: '
           'Gbps, and CPU time of AF_XDP forwarding / that of ESP</text>' % left]
    for i in range(int(most / step) + 2):
        y = base - i * step * scale
        out.append('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>' % (left, y, width - 10, y))
        out.append('<text x="%d" y="%.1f" text-anchor="end">%g</text>' % (left - 5, y + 4, i * step))
    for r in results:
        x = left + gap / 2 + sizes.index(r["size"]) * group + cases.index(r["case"]) * bar
        y = base - r["mpps"] * scale
        out.append('<rect x="%.1f" y="%.1f" width="%d" height="%.1f" fill="%s"/>' %
                   (x, y, bar - 3, base - y, CASES[r["case"]][1]))
        labels = ["%.1f" % r["gbps"]]
        if r.get("cpu_ratio") is not None and r["case"] != "forward":
            labels.append("%.2f" % r["cpu_ratio"])
        for i, label in enumerate(labels):
            out.append('<text x="%.1f" y="%.1f" text-anchor="middle" font-size="9">%s</text>' %
                       (x + bar / 2 - 1, y - 4 - 11 * (len(labels) - 1 - i), escape(label)))
    for i, size in enumerate(sizes):
        out.append('<text x="%.1f" y="%d" text-anchor="middle" font-size="13">%s</text>' %
                   (left + (i + 0.5) * group, base + 20, SIZES[size]))
    for i, case in enumerate(cases):
        x, y = left + 10 + i % 3 * 200, base + 38 + i // 3 * 20
        out.append('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, y, CASES[case][1]))
        out.append('<text x="%d" y="%d">%s</text>' % (x + 18, y + 10, escape(CASES[case][0])))
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def judge_way(way, plain, esp):
    best = max(esp, key=lambda r: r["cpu_ratio"])
    core = min(best["core"], plain["core"])
    met = best["cpu_ratio"] >= TARGET
    if core < CORE_ENOUGH:
        verdict = "not judged, the gateway had its core for %.0f %% of the time" % (100 * core)
    else:
        verdict = "met" if met else "NOT MET"
    print("%s at 1408 bytes: %.2f of plain AF_XDP forwarding by CPU, demanded %.2f: %s" %
          (way, best["cpu_ratio"], TARGET, verdict))
    return met and core >= CORE_ENOUGH


def judge(results):
    """The demand. True also where the run left out what it is about."""
    at_1408 = [r for r in results if r["size"] == "1408" and r["core"] is not None]
    plain = [r for r in at_1408 if r["case"] == "forward"]
    met = True
    for way in ("encrypt", "decrypt"):
        esp = [r for r in at_1408 if r["case"].startswith(way)]
        if plain and esp:
            met = judge_way(way, plain[0], esp) and met
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--svg", required=True)
    parser.add_argument("runs")
    args = parser.parse_args()
    runs = read_runs(args.runs)
    results = [summarize(runs, size, case) for size in SIZES for case in CASES if (size, case) in runs]
    where = machine()
    print("%(cpu)s, %(cpus)d CPUs, Linux %(kernel)s, load %(load).1f" % where)
    print_table(results)
    with open(args.json, "w", encoding="ascii") as file:
        json.dump({"machine": where, "results": results}, file, indent=1)
        file.write("\n")
    draw(results, args.svg)
    met = judge(results)
    print("%s, %s" % (args.json, args.svg))
    sys.exit(0 if met else 1)


main()
