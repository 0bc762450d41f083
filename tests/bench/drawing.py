# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's rates as an SVG drawing: bars of Mpps, a block for each packet size."""
from html import escape

COLOURS = {"redirect": "#9aa5b1", "forward": "#52606d", "encrypt": "#1f6fb2", "decrypt": "#2f9e6e"}
PEER = "#c2571a"
LEFT, RIGHT, TOP, BAR, GAP, SCALE = 190, 190, 52, 15, 34, 520


def bar(result, top, most):
    kind = result["case"].split("-")[0]
    width = result["mpps"] / most * SCALE
    opacity = 0.55 if "-xsk" in result["case"] else 1
    yield ('<text x="%d" y="%d" text-anchor="end">%s</text>' %
           (LEFT - 6, top + BAR - 4, escape("%s@%s" % (result["case"], result["sink"]))))
    yield ('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s" fill-opacity="%g"/>' %
           (LEFT, top, width, BAR - 3, COLOURS.get(kind, PEER), opacity))
    low, high = (LEFT + result[key] / most * SCALE for key in ("mpps_min", "mpps_max"))
    yield ('<path d="M%.1f %dH%.1f" stroke="black" stroke-width="1"/>' %
           (low, top + BAR // 2 - 1, high))
    yield ('<text x="%.1f" y="%d">%.2f Mpps, %.1f Gbps</text>' %
           (max(LEFT + width, high) + 5, top + BAR - 4, result["mpps"], result["gbps"]))


def draw(results, sizes, where, path):
    """sizes: size -> label, in order. The line in a bar goes from the slowest round to the fastest."""
    out, top, most = [], TOP, max(result["mpps_max"] for result in results)
    for size, label in sizes.items():
        mine = [result for result in results if result["size"] == size]
        if not mine:
            continue
        out.append('<text x="%d" y="%d" font-size="13" font-weight="bold">%s</text>' % (LEFT, top + 10, label))
        top += 18
        for result in mine:
            out += bar(result, top, most)
            top += BAR
        top += GAP - 18
    head = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" '
            'font-size="11">' % (LEFT + SCALE + RIGHT, top),
            '<rect width="100%" height="100%" fill="white"/>',
            '<text x="10" y="20" font-size="14">What one core carries, case@sink; Gbps of IP packets</text>',
            '<text x="10" y="38">%s</text>' % escape(where)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(head + out + ["</svg>\n"]))
