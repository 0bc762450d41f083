#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of many SAs: tables, JSON and an SVG drawing from what scale.sh left.

  scale.py --json FILE --svg FILE [--doc FILE] [RUNS.jsonl]

--doc puts the text of all sections into that document, between its marks; without RUNS.jsonl, what FILE has already.
Sections that RUNS.jsonl has not are kept from an earlier FILE, with the machine and the time that they were measured at.
scale_goals.py says what the goals are and how they are judged. Status 1 when one is not met, or could not be judged; 3
when what arrived was wrong.
"""
import argparse
import json
import sys

import scale_goals as goals
import scale_text
from machine import machine
from marks import fill
from scale_drawing import draw


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
    return {name: found[name + "_ns"] / 1e3 if name + "_ns" in found else None for name in scale_text.LATENCY}


def build_misses(runs):
    rows = []
    for run in goals.section(runs, "misses"):
        seconds, row = run["total"]["seconds"], {"rate": run["rate"], "n": run["n"]}
        row.update(offered=run["total"]["flood"]["sent"] / seconds, lost=goals.lost(run, "flood"),
                   control=goals.control_core(run["total"]), **latency_of(run["stats"]["after"]))
        for name in ("sa_miss", "miss_sent", "miss_limited", "miss_lost", "sa_filled"):
            row[name] = goals.reason(run, name) / seconds
        # a daemon of its own: its counts are this run's
        row["answered"] = run["stats"]["after"].get("misses", {}).get("read")
        row["answered"] = None if row["answered"] is None else row["answered"] / seconds
        row["rx_full"] = goals.reason(run, "rx_full")
        rows.append(row)
    return {"results": rows, "goals": goals.judge_misses(runs)}


def build_reconfig(runs):
    rows = [{"job": run["job"], "requests": run["change"]["n"] if run["change"] else 0,
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


def measured(path):
    """The sections of this run."""
    runs, where = read_lines(path), machine()
    faults = goals.faults(runs)
    if faults:
        print("scale: " + "\nscale: ".join(faults), file=sys.stderr)
        sys.exit(3)
    fresh = {name: {"machine": where, **build(runs)} for name, build in BUILDERS.items() if goals.section(runs, name)}
    if not fresh:
        sys.exit("scale: no run in " + path)
    return fresh


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--svg", required=True)
    parser.add_argument("--doc")
    parser.add_argument("runs", nargs="?")
    args = parser.parse_args()
    fresh = measured(args.runs) if args.runs else {}
    whole = {name: part for name, part in read_json(args.json).items() if name in BUILDERS}
    whole.update(fresh)
    if not whole:
        sys.exit("scale: %s has no run: make bench-scale makes one" % args.json)
    print("\n".join(scale_text.lines(fresh)))
    with open(args.json, "w", encoding="ascii") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")
    draw(whole, scale_text.place(next(iter(whole.values()))["machine"]), args.svg)
    if args.doc:
        try:
            fill(args.doc, "scale", [line.rstrip() for line in scale_text.lines(whole)])
        except ValueError as error:
            sys.exit("scale: %s: %s" % (args.doc, error))
    print("%s, %s\n" % (args.json, args.svg))
    sys.exit(any(goal["verdict"].startswith(("NOT", "not")) for part in fresh.values() for goal in part["goals"]))


main()
