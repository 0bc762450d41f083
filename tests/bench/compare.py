#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Has a ratio of the benchmark become worse than it was?

  compare.py BASELINE.json BENCH.json      the baseline's ratios against the run's
  compare.py --write BASELINE.json BENCH.json
      makes the baseline of this run's ratios, with their least and most. Ratios alone: they say more on
      another machine than rates, though the same machine is better

Ratios are medians of FEWEST_ROUNDS or more. A baseline holds those that were judged and are not
generator-limited, and what is compared is those too: one that the run has but could not judge is named,
and neither good nor bad. Status 1 when a ratio has lost more than LOSS of what it was, or is not in the
run; 2 when there is nothing to compare (less than COMPARED_ENOUGH of the baseline), or nothing that would
make a baseline.
"""
import argparse
import json
import sys

LOSS = 0.15
FEWEST_ROUNDS = 5
COMPARED_ENOUGH = 0.5


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


def goals_of(bench):
    """By name: all that the run has."""
    goals = {name(goal): goal for goal in bench["ratios"]}
    if any(goal["rounds"] < FEWEST_ROUNDS for goal in goals.values()):
        raise Unusable("the run has less than %d rounds: give it more (run.sh -r)" % FEWEST_ROUNDS)
    return goals


def doubt(goal):
    """Why the ratio is not to be compared, or None."""
    if goal["verdict"].startswith("not judged"):
        return goal["verdict"]
    return "not judged: generator-limited" if goal["bound"] else None


def judge(old, goal):
    """(verdict, is it good: None means that nobody knows) of a ratio of the baseline; goal may be None."""
    if goal is None:
        return "MISSING", False
    if doubt(goal):
        return doubt(goal), None
    if goal["ratio"] < old * (1 - LOSS):
        return "WORSE", False
    return "ok", True


def spread(low, high):
    return "(%.2f..%.2f)" % (low, high)


def compare(baseline, bench):
    """Prints each; how many are not good."""
    goals, verdicts = goals_of(bench), []
    if not baseline.get("ratios"):
        raise Unusable("the baseline has no ratio")
    columns = "%-56s %8s %15s %8s %15s %8s  %s"
    print(columns % ("ratio", "baseline", "(min..max)", "now", "(min..max)", "change", ""))
    for key, old in baseline["ratios"].items():
        goal = goals.get(key)
        verdict, good = judge(old["ratio"], goal)
        verdicts.append(good)
        print(columns % (
            key, "%.2f" % old["ratio"], spread(old["least"], old["most"]),
            "%.2f" % goal["ratio"] if goal else "-", spread(goal["least"], goal["most"]) if goal else "-",
            "%+.1f%%" % (100 * (goal["ratio"] / old["ratio"] - 1)) if goal else "-", verdict))
    for key in goals:
        if key not in baseline["ratios"]:
            print(columns % (key, "-", "-", "%.2f" % goals[key]["ratio"], "-", "-", "not in the baseline"))
    compared = len(verdicts) - verdicts.count(None)
    if not verdicts.count(False) and compared < COMPARED_ENOUGH * len(verdicts):
        raise Unusable("only %d of %d ratios could be compared: repeat it on an idle machine" %
                       (compared, len(verdicts)))
    return verdicts.count(False)


def write(path, bench):
    kept = {}
    for key, goal in sorted(goals_of(bench).items()):
        if doubt(goal):
            print("%s: left out: %s" % (key, doubt(goal)), file=sys.stderr)
        else:
            kept[key] = {field: round(goal[field], 3) for field in ("ratio", "least", "most", "rounds")}
    if len(kept) < max(1, COMPARED_ENOUGH * len(bench["ratios"])):
        raise Unusable("%d of %d ratios make no baseline: repeat it on an idle machine" %
                       (len(kept), len(bench["ratios"])))
    machine = {key: bench["machine"][key] for key in ("cpu", "cpus", "kernel", "time")}
    with open(path, "w", encoding="ascii") as file:
        json.dump({"machine": machine, "ratios": kept}, file, indent=1)
        file.write("\n")
    print("%s: %d ratios" % (path, len(kept)))


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
