#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks doc/ike-peers.md: each peer has each feature once, and each test it names exists.

  ike_peers.py [DOC]      from the root of the tree; prints TAP, a test for each peer

The first table with a column "feature" is the overview, a column a peer. Each peer has a section with rows
| feature | shown | how, or why not | tests |, in the overview's order; "shown" is yes, with a test or more, or no, with the
reason. Tests are named as conformance.py has it.
"""
import re
import sys

from conformance import missing, read

HEADER = ["feature", "shown", "how, or why not", "tests"]
FEATURES = ("PSK", "certificates", "AES-GCM", "ChaCha20-Poly1305", "AES-CBC, SHA-2", "ESN", "tunnel mode", "transport mode",
            "NAT-T", "IPv6", "trap policies", "dead peer detection", "rekeying under traffic", "hard expiry",
            "500 tunnels at once", "restart of the IKE daemon", "xipsecd killed in mid-traffic")
REASON_MIN = 10


def tables_of(text):
    """{section: its rows of cells}; the overview is that of None."""
    tables, section = {}, None
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
            tables.setdefault(section, [])
        elif line.startswith("|"):
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if "".join(cells).strip("-: "):
                tables.setdefault(section, []).append(cells)
    return tables


def overview_of(rows):
    """{peer: {feature: yes or no}}"""
    start = next((i for i, r in enumerate(rows) if r[0] == "feature"), len(rows) - 1)
    peers = rows[start][1:]
    return {p: {r[0]: r[i] for r in rows[start + 1:] if len(r) == len(peers) + 1} for i, p in enumerate(peers, 1)}


def judge_row(cells, overview):
    if len(cells) != len(HEADER):
        return [f"{cells[0]}: {len(cells)} cells, not {len(HEADER)}"]
    feature, shown, how, tests = cells
    named = re.findall(r"`([^`]+)`", tests)
    wrong = []
    if shown not in ("yes", "no"):
        wrong.append(f"shown is {shown!r}")
    if shown == "yes" and not named:
        wrong.append("yes, and no test shows it")
    if shown == "no" and len(how) < REASON_MIN:
        wrong.append("does not say why not")
    if overview.get(feature) != shown:
        wrong.append(f"the overview says {overview.get(feature)!r}")
    if re.sub(r"`[^`]+`|<br>|\s", "", tests):
        wrong.append("tests that are not in backquotes")
    wrong += [f"`{t}`: {why}" for t in named if (why := missing(t))]
    return [f"{feature}: {w}" for w in wrong]


def judge_peer(rows, overview):
    rows = [r for r in rows if r != HEADER]
    features = tuple(r[0] for r in rows)
    wrong = [f"{f}: not there" for f in FEATURES if f not in features]
    wrong += [f"{f}: not a feature" for f in features if f not in FEATURES]
    wrong += [f"{f}: twice" for f in FEATURES if features.count(f) > 1]
    return wrong + [w for r in rows for w in judge_row(r, overview)]


def main():
    doc = sys.argv[1] if len(sys.argv) > 1 else "doc/ike-peers.md"
    text = read(doc)
    if text is None:
        sys.exit(f"{doc}: cannot read it; run this from the root of the tree")
    tables = tables_of(text)
    overview = overview_of(tables.pop(None, [[]]))
    failed = 0
    for i, peer in enumerate(overview, 1):
        wrong = judge_peer(tables.pop(peer, []), overview[peer])
        failed += bool(wrong)
        print(f"{'not ' * bool(wrong)}ok {i} - {peer}: each feature is there, and each test named exists")
        for why in wrong:
            print(f"# {doc}: {peer}: {why}")
    unknown = [s for s, rows in tables.items() if rows]
    print(f"{'not ' * bool(unknown or not overview)}ok {len(overview) + 1} - each section is a peer of the overview")
    for what in unknown:
        print(f"# {doc}: {what}: not in the overview")
    print(f"1..{len(overview) + 1}")
    sys.exit(bool(failed or unknown or not overview))


main()
