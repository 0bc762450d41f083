#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's numbers: tables, JSON and an SVG drawing from what run.sh left.

  report.py [--gateways FILE] [--extras FILE] [--engines FILE] --json FILE --svg FILE RUNS.jsonl

A figure is the median over the rounds; goals.py says what the goals are and how they are judged.
Status 1 when one is not met, or could not be judged.
"""
import argparse
import json
import sys

import algorithms
from drawing import draw
from goals import (SIZES, burst_share, core, cpu_ns, generator_limited, held, judge_extras, judge_ratios, lost,
                   median, unit)
from machine import machine, number

IMIX = [64] * 7 + [576] * 4 + [1500]


def read_lines(path):
    if not path:
        return []
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file]


def read_json(path):
    if not path:
        return None
    with open(path, encoding="ascii") as file:
        return json.load(file)


def collect(lines):
    """(size, unit) -> round -> run, in the order of measuring."""
    runs = {}
    for run in lines:
        runs.setdefault((run["size"], unit(run)), {})[run["round"]] = run
    return runs


def inner_bytes(run):
    """Mean length of a packet before encryption, as frames.py made them."""
    sizes = IMIX if run["size"] == "imix" else [int(run["size"])]
    return sum(min(size, run.get("mtu", max(IMIX))) for size in sizes) / len(sizes)


def summarize(rounds):
    mpps = [run["mpps"] for run in rounds]
    timed = [run for run in rounds if run.get("cpu")]
    halves = [held(run) for run in rounds if held(run)]
    shares = [share for share in map(burst_share, rounds) if share is not None]
    return {
        "case": rounds[0]["case"], "sink": rounds[0]["sink"], "size": rounds[0]["size"],
        "rounds": len(rounds), "mpps": median(mpps), "mpps_min": min(mpps), "mpps_max": max(mpps),
        "gbps": median(mpps) * inner_bytes(rounds[0]) * 8 / 1e3, "ns": 1e3 / median(mpps),
        "cpu_ns": median([cpu_ns(run) for run in timed]), "core": median([core(run) for run in timed]),
        "offered_mpps": median([run["offered"] for run in rounds]),
        "lost": median([lost(run) for run in rounds]), "burst": median(shares),
        "limit": "generator" if generator_limited(rounds) else "gateway",
        "held_ns": median([cpu_ns(half) for half in halves]), "held_core": median([core(half) for half in halves]),
        "held_lost": median([lost(half) for half in halves]),
        "held_limit": halves and ("generator" if generator_limited(halves) else "gateway") or None,
    }


def print_rates(results):
    columns = "%-7s %-26s %7s %15s %7s %7s %5s %5s  %-9s %7s %5s %5s  %-9s %6s"
    print(columns % ("packet", "case@sink", "Mpps", "(min..max)", "Gbps", "CPU ns", "core", "lost", "limit",
                     "half ns", "core", "lost", "limit", "burst"))
    for result in results:
        print(columns % (
            SIZES[result["size"]], unit(result), "%.3f" % result["mpps"],
            "(%.3f..%.3f)" % (result["mpps_min"], result["mpps_max"]), "%.2f" % result["gbps"],
            number(result["cpu_ns"], "%.0f"), number(result["core"], "%.2f"),
            number(result["lost"], "%.0f%%", 100), result["limit"],
            number(result["held_ns"], "%.0f"), number(result["held_core"], "%.2f"),
            number(result["held_lost"], "%.0f%%", 100), result["held_limit"] or "-",
            number(result["burst"], "%.0f%%", 100)))


RATE_BOUNDS = {None: "", "at least": ">", "at most": "<", "neither side of": "?"}


def print_goals(ratios, figures):
    columns = "%-7s %-56s %6s %15s %8s %8s  %s"
    print(columns % ("packet", "goal", "ratio", "(min..max)", "by rate", "demanded", ""))
    for goal in ratios:
        print(columns % (
            SIZES[goal["size"]], goal["goal"], "%.2f" % goal["ratio"],
            "(%.2f..%.2f)" % (goal["least"], goal["most"]),
            "%s%.2f" % (RATE_BOUNDS[goal["rate_bound"]], goal["rate_ratio"]),
            number(goal["demanded"], "%g"), goal["verdict"]))
    for goal in figures:
        if goal["value"] is None:
            print("%s: %s" % (goal["goal"], goal["verdict"]))
            continue
        print("%s: %.2f%s%s: %s" % (
            goal["goal"], goal["value"], goal["unit"] and " " + goal["unit"],
            ", demanded %s %g" % ("below" if goal["below"] else "at least", goal["demanded"])
            if goal["demanded"] is not None else "", goal["verdict"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("gateways", "extras", "engines"):
        parser.add_argument("--" + name)
    parser.add_argument("--json", required=True)
    parser.add_argument("--svg", required=True)
    parser.add_argument("runs")
    args = parser.parse_args()
    runs = collect(read_lines(args.runs))
    results = [summarize(list(rounds.values())) for size in SIZES
               for (of_size, _), rounds in runs.items() if of_size == size]
    if not results:
        sys.exit("report: no run in " + args.runs)
    gateways, where = read_lines(args.gateways), machine()
    ratios, figures = judge_ratios(runs), judge_extras(read_lines(args.extras))
    line = "%(cpu)s, %(cpus)d CPUs, Linux %(kernel)s, load %(load).1f" % where
    print(line)
    for version in sorted({gateway["version"] for gateway in gateways if gateway["version"]}):
        print(version)
    print_rates(results)
    for gateway in gateways:
        if gateway["skipped"]:
            print("%s: skipped: %s" % (gateway["gateway"], gateway["skipped"]))
    print_goals(ratios, figures)
    measured = read_json(args.engines)
    if measured:
        print("\n".join(algorithms.lines(measured)))
    with open(args.json, "w", encoding="ascii") as file:
        json.dump({"machine": where, "gateways": gateways, "results": results, "ratios": ratios,
                   "figures": figures, "algorithms": measured}, file, indent=1)
        file.write("\n")
    draw(results, SIZES, line, args.svg)
    print("%s, %s" % (args.json, args.svg))
    sys.exit(any(goal["verdict"].startswith(("NOT", "not")) for goal in ratios + figures))


main()
