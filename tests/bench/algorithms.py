#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of algorithms: ns a packet of each, engine by engine, as build/tests/bench/engines measured them.

  algorithms.py --doc FILE BENCH.json     puts the table of a benchmark into FILE, between its two marks
"""
import argparse
import json
import sys

from marks import fill


def by_row(measured):
    """(transform, engine) -> (bytes, batch) -> figure, in the order of measuring."""
    rows = {}
    for one in measured:
        rows.setdefault((one["transform"], one["engine"]), {})[one["bytes"], one["batch"]] = one
    return rows


def lines(measured):
    """Text: a row each transform and engine; for each size, packets one by one, and in the largest batch."""
    sizes = sorted({one["bytes"] for one in measured})
    batches = sorted({one["batch"] for one in measured})
    batches = batches[:1] + batches[1:][-1:]
    columns = [(size, batch) for size in sizes for batch in batches]
    head = "%-28s %-9s" % ("ns a packet, seal/open", "engine")
    yield (head + "".join("%12s" % ("%d B x %d" % column) for column in columns)).rstrip()
    for (transform, engine), row in by_row(measured).items():
        cells = ("%.0f/%.0f" % (row[column]["seal_ns"], row[column]["open_ns"]) if column in row else "-"
                 for column in columns)
        yield "%-28s %-9s" % (transform, engine) + "".join("%12s" % cell for cell in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doc", required=True)
    parser.add_argument("bench")
    args = parser.parse_args()
    with open(args.bench, encoding="ascii") as file:
        bench = json.load(file)
    if not bench.get("algorithms"):
        sys.exit("algorithms: %s has none: run make bench with the extra `engines`" % args.bench)
    where = "%(cpu)s, %(cpus)d CPUs, Linux %(kernel)s, load %(load).1f" % bench["machine"]
    try:
        fill(args.doc, "algorithms", [where, *lines(bench["algorithms"])])
    except ValueError as error:
        sys.exit("algorithms: %s: %s" % (args.doc, error))


if __name__ == "__main__":
    main()
