#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of many SAs: tables, JSON and an SVG drawing from what scale.sh left.

  scale.py --json FILE --svg FILE RUNS.jsonl

Sections that RUNS.jsonl has not are kept from an earlier FILE, with the machine and the time that they were measured at.
scale_goals.py says what the goals are and how they are judged. Status 1 when one is not met, or could not be judged; 3
when what arrived was wrong.
"""
import argparse
import json
import sys

import scale_goals as goals
from machine import machine, number
from scale_drawing import draw

LATENCY = ("p50", "p99", "p999")


def read_lines(path):
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file]


def read_json(path):
    try:
        with open(path, encoding="ascii") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def build_throughput(runs):
    return {"installs": goals.section(runs, "install"),
            "results": [goals.summarize(list(rounds.values())) for rounds in goals.collect(runs).values()],
            "goals": goals.judge_throughput(runs)}


def latency_of(stats):
    """Microseconds from packet to answer in the table, as `xipsec stats -j` tells them; None where it does not."""
    found = stats.get("misses", {}).get("latency", {}).get("sa", {})
    return {name: found[name + "_ns"] / 1e3 if name + "_ns" in found else None for name in LATENCY}


def build_misses(runs):
    rows = []
    for run in goals.section(runs, "misses"):
        seconds, row = run["total"]["seconds"], {"rate": run["rate"], "n": run["n"]}
        row.update(offered=run["total"]["flood"]["sent"] / seconds, lost=goals.lost(run, "flood"),
                   control=goals.control_core(run["total"]), **latency_of(run["stats"]["after"]))
        for name in ("sa_miss", "miss_sent", "miss_dedup", "miss_limited", "miss_lost", "sa_filled", "sa_denied"):
            row[name] = goals.reason(run, name) / seconds
        rows.append(row)
    return {"results": rows, "goals": goals.judge_misses(runs)}


def build_reconfig(runs):
    rows = [{"job": run["job"], "requests": run["change"]["requests"] if run["change"] else 0,
             "seconds": run["change"]["seconds"] if run["change"] else None,
             "sent": run["total"]["live"]["sent"], "lost": goals.lost(run, "live"),
             "control": goals.control_core(run["total"])} for run in goals.section(runs, "reconfig")]
    return {"results": rows, "goals": goals.judge_reconfig(runs)}


def build_floods(runs):
    return {"results": [goals.summarize_flood(kind, besides) for kind, besides in goals.flood_rounds(runs).items()],
            "goals": goals.judge_floods(runs)}


def build_policies(runs):
    run = goals.section(runs, "policies")[-1]
    if run.get("skipped"):
        return {"skipped": run["skipped"], "goals": []}
    return {"result": run["result"], "goals": goals.judge_policies(run["result"])}


BUILDERS = {"throughput": build_throughput, "policies": build_policies, "misses": build_misses,
            "reconfig": build_reconfig, "floods": build_floods}


def percent(value):
    return number(value, "%.0f%%", 100)


def percent_fine(value):
    return number(value, "%.2f%%", 100)


def print_throughput(part):
    for install in part["installs"]:
        if install["requests"] >= 100000:
            print("%s: %d SAs installed in %.1f s, %.0f a second" % (
                install["gateway"], install["requests"], install["seconds"], install["requests"] / install["seconds"]))
    columns = "%-6s %-5s %-10s %-9s %7s %15s %6s %6s %8s %8s %6s %6s %6s %8s"
    print(columns % ("packet", "SAs", "traffic", "case", "Mpps", "(min..max)", "lost", "core", "half ns", "send ns", "hit",
                     "fast", "slow", "control"))
    for row in part["results"]:
        print(columns % (
            "%d B" % row["size"], goals.count(row["n"]), goals.ORDERS[row["order"]], row["kind"], "%.3f" % row["mpps"],
            "(%.3f..%.3f)" % (row["mpps_min"], row["mpps_max"]), percent(row["lost"]), percent(row["core"]),
            number(row["half_ns"], "%.0f"), number(row["sender_ns"], "%.0f"), percent(row["hit"]), percent(row["fast"]),
            percent(None if row["fast"] is None else 1 - row["fast"]), percent(row["control"])))


def print_misses(part):
    columns = "%9s %9s %7s %9s %9s %8s %8s %7s %9s %8s %8s %8s %8s"
    print(columns % ("misses/s", "sent", "lost", "missed/s", "message/s", "dedup/s", "limit/s", "lost/s", "filled/s", "p50 us",
                     "p99 us", "p99.9 us", "control"))
    for row in part["results"]:
        print(columns % (row["rate"], "%.0f" % row["offered"], row["lost"], *(
            "%.0f" % row[name] for name in ("sa_miss", "miss_sent", "miss_dedup", "miss_limited", "miss_lost", "sa_filled")),
            *(number(row[name], "%.1f") for name in LATENCY), percent(row["control"])))


def print_reconfig(part):
    columns = "%-16s %9s %9s %9s %7s %8s"
    print(columns % ("reconfiguration", "requests", "seconds", "live", "lost", "control"))
    for row in part["results"]:
        print(columns % (row["job"], row["requests"], number(row["seconds"], "%.2f"), row["sent"], row["lost"],
                         percent(row["control"])))


def print_floods(part):
    columns = "%-11s %7s %6s  %7s %6s  %7s %6s  %8s %9s %9s %8s %9s"
    print(columns % ("flood", "Mpps", "live", "plain", "live", "kernel", "live", "control", "message/s", "limit/s", "lost/s",
                     "evicted/s"))
    for row in part["results"]:
        cells = []
        for beside in ("flood", "worker", "kernel"):
            cells += ["%.2f" % row[beside]["offered"], percent(row[beside]["live"])] if beside in row else ["-", "-"]
        print(columns % (row["kind"], *cells, percent(row["control"]), *(
            "%.0f" % row[name] for name in ("miss_sent", "miss_limited", "miss_lost", "sa_evicted"))))


def print_policies(part):
    if part.get("skipped"):
        print("policies: skipped: " + part["skipped"])
        return
    rows = part["result"]["runs"]
    names = list(rows[0]["policies"])
    print("%-16s %7s" % ("hit ratio", "slots") + "".join(" %11s" % name for name in names))
    for row in rows:
        print("%-16s %7d" % (row["trace"], row["capacity"]) +
              "".join(" %11s" % percent_fine(row["policies"][name]["hit_ratio"]) for name in names))


PRINTERS = {"throughput": print_throughput, "policies": print_policies, "misses": print_misses,
            "reconfig": print_reconfig, "floods": print_floods}


def print_goal(goal):
    if "rate" in goal:
        print("%-6s %-44s %5.2f (by rate %s, half core %s%s)%s: %s" % (
            "%d B" % goal["size"], goal["goal"], goal["ratio"], number(goal["rate"], "%.2f"), number(goal["half"], "%.2f"),
            ", rate generator-limited" if goal["generator"] else "",
            ", demanded %g" % goal["demanded"] if goal["demanded"] is not None else "", goal["verdict"]))
    else:
        print("%s: %g, demanded %s%g: %s" % (goal["goal"], round(goal["value"], 3), "below " if goal.get("below") else "",
                                             goal["demanded"], goal["verdict"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--svg", required=True)
    parser.add_argument("runs")
    args = parser.parse_args()
    runs, where = read_lines(args.runs), machine()
    faults = goals.faults(runs)
    if faults:
        print("scale: " + "\nscale: ".join(faults), file=sys.stderr)
        sys.exit(3)
    fresh = {name: {"machine": where, **build(runs)} for name, build in BUILDERS.items() if goals.section(runs, name)}
    if not fresh:
        sys.exit("scale: no run in " + args.runs)
    line = "%(cpu)s, %(cpus)d CPUs, Linux %(kernel)s, load %(load).1f" % where
    print(line)
    for name, part in fresh.items():
        PRINTERS[name](part)
        print()
    for part in fresh.values():
        for goal in part["goals"]:
            print_goal(goal)
    whole = {name: part for name, part in read_json(args.json).items() if name in BUILDERS}
    whole.update(fresh)
    with open(args.json, "w", encoding="ascii") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")
    draw(whole, line, args.svg)
    print("%s, %s" % (args.json, args.svg))
    sys.exit(any(goal["verdict"].startswith(("NOT", "not")) for part in fresh.values() for goal in part["goals"]))


main()
