#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Has a ratio of the benchmark become worse than it was?

  compare.py BASELINE.json BENCH.json      every ratio of the baseline against the run's
  compare.py --write BASELINE.json BENCH.json
      makes the baseline of this run's ratios. Ratios alone: they say more on another machine than
      rates, though the same machine is better

Status 1 when a ratio has lost more than LOSS of what it was, or is not in the run; 2 when there is
nothing to compare, or nothing that would make a baseline.
"""
import argparse
import json
import sys

LOSS = 0.15


class Unusable(Exception):
    pass


def name(goal):
    return "%s / %s, %s" % (goal["above"], goal["below"], goal["size"])


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return json.load(file)
    except FileNotFoundError:
        raise Unusable("%s: not there; make bench makes a run, make bench-baseline the baseline" % path) from None
    except ValueError as error:
        raise Unusable("%s: %s" % (path, error)) from None


def run_ratios(bench):
    return {name(goal): goal["ratio"] for goal in bench["ratios"]}


def doubts(bench):
    return {name(goal): ", " + goal["verdict"] for goal in bench["ratios"]
            if goal["verdict"].startswith("not judged")}


def judge(old, new):
    """(verdict, is it good) of a ratio of the baseline; new may be None."""
    if new is None:
        return "MISSING", False
    if new < old * (1 - LOSS):
        return "WORSE", False
    return "ok", True


def compare(baseline, bench):
    """Prints each; how many are not good."""
    ratios, doubt, bad = run_ratios(bench), doubts(bench), 0
    if not baseline.get("ratios"):
        raise Unusable("the baseline has no ratio")
    print("%-56s %8s %8s %8s" % ("ratio", "baseline", "now", "change"))
    for key, old in baseline["ratios"].items():
        new = ratios.get(key)
        verdict, good = judge(old, new)
        bad += not good
        print("%-56s %8.2f %8s %8s  %s%s" % (
            key, old, "-" if new is None else "%.2f" % new,
            "-" if new is None else "%+.1f%%" % (100 * (new / old - 1)), verdict,
            doubt.get(key, "")))
    for key in ratios:
        if key not in baseline["ratios"]:
            print("%-56s %8s %8.2f %8s  not in the baseline" % (key, "-", ratios[key], "-"))
    return bad


def write(path, bench):
    unjudged = [goal for goal in bench["ratios"] if goal["verdict"].startswith("not judged")]
    for goal in unjudged:
        print("%s: %s" % (name(goal), goal["verdict"]), file=sys.stderr)
    if unjudged or not bench["ratios"]:
        raise Unusable("this run makes no baseline: repeat it on an idle machine")
    machine = {key: bench["machine"][key] for key in ("cpu", "cpus", "kernel", "time")}
    ratios = {key: round(value, 3) for key, value in sorted(run_ratios(bench).items())}
    with open(path, "w", encoding="ascii") as file:
        json.dump({"machine": machine, "ratios": ratios}, file, indent=1)
        file.write("\n")
    print("%s: %d ratios" % (path, len(ratios)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("baseline")
    parser.add_argument("bench")
    args = parser.parse_args()
    try:
        if args.write:
            write(args.baseline, read(args.bench))
            return 0
        bad = compare(read(args.baseline), read(args.bench))
    except Unusable as error:
        print("compare: %s" % error, file=sys.stderr)
        return 2
    if bad:
        print("%d ratios lost more than %.0f %%, or are missing" % (bad, 100 * LOSS))
    return 1 if bad else 0


sys.exit(main())
