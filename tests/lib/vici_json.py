#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What swanctl --list-sas --pretty prints, from stdin, as a JSON array of IKE SAs.

Each has its name as "name" and its child SAs, an array, as "children". All values are strings or arrays of strings.
"""
import json
import sys


def parse(lines):
    """A section, up to the brace that closes it."""
    here = {}
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        key, _, value = line.partition(" = ")
        if line.endswith(" {"):
            here[line[:-2]] = parse(lines)
        elif value == "[":
            here[key] = list(iter(lambda: next(lines).strip(), "]"))
        elif key:
            here[key] = value
    return here


def main():
    out, lines = [], iter(sys.stdin)
    for line in lines:
        if line.strip() != "list-sa event {":
            continue
        for name, sa in parse(lines).items():
            out.append(dict(sa, name=name, children=list(sa.pop("child-sas", {}).values())))
    json.dump(out, sys.stdout)
    print()


main()
