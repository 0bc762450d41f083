# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of many SAs as text: a table a section, and a line a goal."""
import scale_goals as goals
from machine import number

LATENCY = ("p50", "p99", "p999")
CAPACITIES = (64, 1024, 16384) # of those that were simulated: the JSON has all
INSTALLS = 100000           # fewer at once say nothing of how many a second


def percent(value, digits=0):
    return number(value, "%%.%df%%%%" % digits, 100)


def throughput(part):
    for install in part["installs"]:
        if install["n"] >= INSTALLS:
            yield "%s: %d SAs installed in %.1f s, %.0f a second" % (
                install["gateway"], install["n"], install["seconds"], install["n"] / install["seconds"])
    columns = "%-6s %-5s %-10s %-9s %7s %15s %6s %6s %8s %8s %6s %6s %6s %8s"
    yield columns % ("packet", "SAs", "traffic", "case", "Mpps", "(min..max)", "lost", "core", "half ns", "send ns", "hit",
                     "fast", "slow", "control")
    for row in part["results"]:
        yield columns % (
            "%d B" % row["size"], goals.count(row["n"]), goals.ORDERS[row["order"]], row["kind"], "%.3f" % row["mpps"],
            "(%.3f..%.3f)" % (row["mpps_min"], row["mpps_max"]), percent(row["lost"]), percent(row["core"]),
            number(row["half_ns"], "%.0f"), number(row["sender_ns"], "%.0f"), percent(row["hit"]), percent(row["fast"]),
            percent(None if row["fast"] is None else 1 - row["fast"]), percent(row["control"]))


def policies(part):
    if part.get("skipped"):
        yield "policies: skipped: " + part["skipped"]
        return
    rows = part["result"]["runs"]
    names = list(rows[0]["policies"])
    yield "%-16s %7s" % ("hit ratio", "slots") + "".join(" %11s" % name for name in names)
    for row in rows:
        if row["capacity"] not in CAPACITIES:
            continue
        yield "%-16s %7d" % (row["trace"], row["capacity"]) + "".join(
            " %11s" % percent(row["policies"][name]["hit_ratio"], 2) for name in names)


def misses(part):
    columns = "%9s %9s %7s %8s %9s %9s %8s %7s %9s %9s %8s %8s %8s %8s"
    yield columns % ("misses/s", "sent/s", "lost", "rx full", "missed/s", "message/s", "limit/s", "lost/s", "answer/s",
                     "filled/s", "p50 us", "p99 us", "p99.9 us", "control")
    for row in part["results"]:
        rates = [number(row[name], "%.0f")
                 for name in ("sa_miss", "miss_sent", "miss_limited", "miss_lost", "answered", "sa_filled")]
        yield columns % (row["rate"], "%.0f" % row["offered"], row["lost"], row["rx_full"], *rates,
                         *(number(row[name], "%.1f") for name in LATENCY), percent(row["control"]))


def reconfig(part):
    columns = "%-16s %9s %9s %9s %7s %8s"
    yield columns % ("reconfiguration", "requests", "seconds", "live", "lost", "control")
    for row in part["results"]:
        yield columns % (row["job"], row["requests"], number(row["seconds"], "%.2f"), row["sent"], row["lost"],
                         percent(row["control"]))


def floods(part):
    columns = "%-11s %7s %6s  %7s %6s  %7s %6s  %8s %9s %9s %8s %9s"
    yield columns % ("flood", "Mpps", "live", "plain", "live", "kernel", "live", "control", "message/s", "limit/s", "lost/s",
                     "evicted/s")
    for row in part["results"]:
        cells = []
        for beside in ("flood", "worker", "kernel"):
            cells += ["%.2f" % row[beside]["offered"], percent(row[beside]["live"])] if beside in row else ["-", "-"]
        yield columns % (row["kind"], *cells, percent(row["control"]), *(
            "%.0f" % row[name] for name in ("miss_sent", "miss_limited", "miss_lost", "sa_evicted")))


SECTIONS = {"throughput": throughput, "policies": policies, "misses": misses, "reconfig": reconfig, "floods": floods}


def goal_line(goal):
    if "rate" not in goal:
        return "%s: %g, demanded %s%g: %s" % (goal["goal"], round(goal["value"], 3),
                                              "below " if goal.get("below") else "", goal["demanded"], goal["verdict"])
    return "%-6s %-44s %5.2f (by rate %s, half core %s%s)%s: %s" % (
        "%d B" % goal["size"], goal["goal"], goal["ratio"], number(goal["rate"], "%.2f"), number(goal["half"], "%.2f"),
        ", rate generator-limited" if goal["generator"] else "",
        ", demanded %g" % goal["demanded"] if goal["demanded"] is not None else "", goal["verdict"])


def place(machine):
    return "%(cpu)s, %(cpus)d CPUs, Linux %(kernel)s, load %(load).1f" % machine


def lines(whole):
    """whole: sections by name. Each with the machine and the time that it was measured at, where they differ."""
    where = None
    for name, text in SECTIONS.items():
        if name not in whole:
            continue
        here = place(whole[name]["machine"])
        if here != where:
            yield here
        where = here
        yield from text(whole[name])
        yield ""
    for name in SECTIONS:
        yield from map(goal_line, whole.get(name, {}).get("goals", ()))
