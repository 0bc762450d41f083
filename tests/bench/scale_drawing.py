# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of many SAs as an SVG drawing: rates and hit ratios over the number of SAs, floods as bars."""
import math
from html import escape

LINES = (("fast", "hot", "64 hot", "#1f6fb2"), ("fast", "zipf", "Zipf 0.99", "#2f9e6e"),
         ("fast", "uniform", "uniform", "#c2571a"), ("slow", "uniform", "slow method, uniform", "#9aa5b1"),
         ("redirect", "uniform", "generator and wire alone, uniform", "#d7dde3"))
WIDTH, HEIGHT, LEFT, TOP, STEP, BAR = 420, 200, 60, 64, 250, 15
NAMES = {1: "1", 100: "100", 10000: "10k", 100000: "100k", 1000000: "1M"}


def text(x, y, what, extra=""):
    return '<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, " " + extra if extra else "", escape(what))


def round_up(value):
    """A number whose quarters are round, too."""
    unit = 10 ** math.floor(math.log10(value / 4)) if value > 0 else 1
    return next(4 * unit * step for step in (1, 2, 2.5, 5, 10) if 4 * unit * step >= value)


def chart(rows, field, title, most, left, top):
    """rows of one packet size; over the numbers of SAs, which stand side by side whatever they are."""
    counts = sorted({row["n"] for row in rows})
    place = {n: left + WIDTH * (i + 0.5) / len(counts) for i, n in enumerate(counts)}
    yield text(left, top - 8, title, 'font-size="12" font-weight="bold"')
    for part in range(5):
        y = top + HEIGHT * (1 - part / 4)
        yield '<path d="M%d %.1fh%d" stroke="#e4e7eb"/>' % (left, y, WIDTH)
        yield text(left - 5, y + 4, "%.3g" % (most * part / 4), 'text-anchor="end"')
    for n, x in place.items():
        yield text(x, top + HEIGHT + 15, NAMES.get(n, str(n)) + (" SA" if n == 1 else ""), 'text-anchor="middle"')
    for kind, order, _, colour in LINES:
        points = [(place[row["n"]], top + HEIGHT * (1 - row[field] / most)) for row in sorted(rows, key=lambda r: r["n"])
                  if row["kind"] == kind and row["order"] == order and row[field] is not None]
        if points:
            yield '<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (
                colour, " ".join("%.1f,%.1f" % point for point in points))
        for x, y in points:
            yield '<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour)


def legend(left, top):
    for i, (_, _, name, colour) in enumerate(LINES):
        x = left + 190 * i
        yield '<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, top, colour)
        yield text(x + 17, top + 10, name)


def draw_throughput(part, top):
    out, rows = list(legend(LEFT, top)), part["results"]
    top += 40
    for size in sorted({row["size"] for row in rows}):
        mine = [row for row in rows if row["size"] == size]
        out += chart(mine, "mpps", "%d bytes: Mpps delivered, one core" % size, round_up(max(row["mpps"] for row in mine)), LEFT, top)
        out += chart(mine, "fast", "%d bytes: share that had a slot" % size, 1.0, LEFT + WIDTH + 80, top)
        top += STEP
    return out, top


def bars(row, top):
    colours = {"flood": "#c2571a", "worker": "#52606d", "kernel": "#9aa5b1"}
    for i, (beside, colour) in enumerate(colours.items()):
        if beside not in row:
            continue
        y = top + i * BAR
        yield '<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
            LEFT + 70, y, row[beside]["live"] * WIDTH, BAR - 3, colour)
        yield text(LEFT + 75 + row[beside]["live"] * WIDTH, y + BAR - 5, "%.1f %% beside %.2f Mpps%s" % (
            100 * row[beside]["live"], row[beside]["offered"],
            {"flood": "", "worker": " forwarded by the worker", "kernel": " forwarded by the kernel"}[beside]))
    yield text(LEFT + 64, top + BAR - 5, row["kind"], 'text-anchor="end"')


def draw_floods(part, top):
    out = [text(LEFT, top, "Floods: live traffic that arrived", 'font-size="12" font-weight="bold"')]
    top += 10
    for row in part["results"]:
        if "worker" in row:
            out += bars(row, top)
            top += 3 * BAR + 8
    return out, top + 20


def draw(whole, where, path):
    out, top = [], TOP
    for name, drawer in (("throughput", draw_throughput), ("floods", draw_floods)):
        if name in whole:
            more, top = drawer(whole[name], top)
            out += more
    head = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">' %
            (LEFT + 2 * WIDTH + 140, top), '<rect width="100%" height="100%" fill="white"/>',
            text(10, 20, "Many SAs behind a table of 1,024", 'font-size="14"'), text(10, 38, where)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(head + out + ["</svg>\n"]))
