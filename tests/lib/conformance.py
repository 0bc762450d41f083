#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks doc/conformance.md: every requirement has a status, and every test it names exists.

  conformance.py [DOC]      from the root of the tree; prints TAP, a test for each RFC

A row is | section | level | requirement | status | how | tests |. Status is one of
  met              needs a test
  otherwise        as much is reached in another way, or part of it; `how` says which
  not met          `how` says why, or what there is instead
  not ours         falls to somebody else, whom `how` names
Tests stand in backquotes, <br> between them:
  `LAYER/FILE: NAME`          of C: a test function that is in cmocka's list; of a shell script: the
                              text that tap_ok, tap_check or tap_is is given, as it stands there,
                              variables and all
  `LAYER/FILE: NAME / CASE`   a row of the table that the test walks: its name is a string of the file; of a shell script: it
                              begins a line, or is what a line that begins with "try" has first
  `LAYER/FILE: PREFIX*`       names that a script generates: PREFIX stands literally in it, or in a
                              script of tests/lib that it sources
"""
import functools
import os
import re
import sys

RFCS = ("2983", "3948", "4301", "4302", "4303", "6040")
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "MAY")
STATUSES = ("met", "otherwise", "not met", "not ours")
HEADER = ["section", "level", "requirement", "status", "how", "tests"]
PREFIX_MIN = 3


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return None


@functools.cache
def code_of(path):
    """A file without comments."""
    text = read(path) or ""
    if path.endswith(".sh"):
        return re.sub(r"(?m)^\s*#.*$", "", text)
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def source_of(layer, name):
    """(path, is a shell script) of a test file; None: there is none."""
    folders = {"unit": ("tests/unit", "tests/lib"), "prog": ("tests/prog",) * 2, "net": (None, "tests/net"),
               "interop": (None, "tests/interop"), "vm": (None, "vmtest")}
    if layer not in folders or not name.startswith("test_"):
        return None
    for folder, suffix in zip(folders[layer], (".c", ".sh")):
        path = folder and f"{folder}/{name}{suffix}"
        if path and os.path.isfile(path):
            return path, suffix == ".sh"
    return None


@functools.cache
def cmocka_tests(path):
    """Names in the lists: by cmocka's macros, or by one of the file's own that is made of them."""
    text = code_of(path)
    macros = re.findall(r"#define\s+(\w+)\(\w+\)\s+cmocka_unit_test", text)
    text = re.sub(r"(?m)^#define.*$", "", text)
    calls = "|".join(["cmocka_unit_test(?:_\\w+)?"] + macros)
    return set(re.findall(rf"\b(?:{calls})\(\s*(\w+)\s*[,)]", text))


@functools.cache
def tap_texts(path):
    """First words, in quotes, of tap_ok, tap_check, tap_is."""
    found = re.findall(r"\btap_(?:ok|check|is)\s+(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)')", code_of(path))
    return {a or b for a, b in found}


def begins_in(prefix, path):
    paths = [path] + re.findall(r"(?m)^\.\s+(tests/lib/\S+)", code_of(path))
    return any(prefix in code_of(p) for p in paths)


def missing(test):
    """Why a test that a row names does not exist; None: it does."""
    m = re.fullmatch(r"(\w+)/(\w+): (.+)", test)
    if not m:
        return "is not of the form LAYER/FILE: NAME"
    where = source_of(m[1], m[2])
    if not where:
        return "no such file"
    path, shell = where
    name = m[3]
    if shell and name.endswith("*"):
        good = len(name) > PREFIX_MIN and begins_in(name[:-1], path)
        return None if good else f"nothing in {path} begins like that"
    function, _, case = name.partition(" / ")
    if shell:
        if name in tap_texts(path):
            return None
        if case and function in tap_texts(path):
            row = rf"(?m)^\s*(?:try\s+)?[\"']?{re.escape(case)}[\"'|\s]"
            return None if re.search(row, code_of(path)) else f"no case of that name in {path}"
        return f"no test of that text in {path}"
    if function not in cmocka_tests(path):
        return f"not in the list of tests of {path}"
    if case and f'"{case}"' not in code_of(path):
        return f"no case of that name in {path}"
    return None


def judge_row(cells):
    if len(cells) != len(HEADER):
        return [f"{len(cells)} cells, not {len(HEADER)}"]
    section, level, requirement, status, how, tests = cells
    named = re.findall(r"`([^`]+)`", tests)
    wrong = []
    if not section or not requirement:
        wrong.append("no section, or no requirement")
    if level not in LEVELS:
        wrong.append(f"level {level!r}")
    if status not in STATUSES:
        wrong.append(f"status {status!r}")
    if len(how) < (1 if status == "met" else 10):
        wrong.append("does not say how, or why not")
    if status == "met" and not named:
        wrong.append("met, and no test shows it")
    if re.sub(r"`[^`]+`|<br>|\s", "", tests):
        wrong.append("tests that are not in backquotes")
    return wrong + [f"`{t}`: {why}" for t in named if (why := missing(t))]


def rows_of(text):
    """{RFC: [(line, cells)]}, and lines that are in no table of an RFC."""
    tables, stray, rfc = {}, [], None
    for n, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            heading = re.match(r"## RFC (\d+)\b", line)
            rfc = heading and heading[1]
            if rfc:
                tables.setdefault(rfc, [])
        elif line.startswith("|"):
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if cells == HEADER or not "".join(cells).strip("-: "):
                continue
            if rfc:
                tables[rfc].append((n, cells))
            elif len(cells) == len(HEADER):
                stray.append(n)
    return tables, stray


def judge_rfc(rows):
    wrong, seen = [], {}
    for n, cells in rows:
        wrong += [f"line {n}: {why}" for why in judge_row(cells)]
        key = tuple(cells[:3])
        if key in seen:
            wrong.append(f"line {n}: the same as line {seen[key]}")
        seen[key] = n
    return wrong if rows else ["no requirements"]


def main():
    doc = sys.argv[1] if len(sys.argv) > 1 else "doc/conformance.md"
    text = read(doc)
    if text is None:
        sys.exit(f"{doc}: cannot read it; run this from the root of the tree")
    tables, stray = rows_of(text)
    failed = 0
    for i, rfc in enumerate(RFCS, 1):
        rows = tables.get(rfc, [])
        wrong = judge_rfc(rows)
        failed += bool(wrong)
        counts = ", ".join(f"{k} {s}" for s in STATUSES if (k := sum(c[3:4] == [s] for _, c in rows)))
        print(f"{'not ' * bool(wrong)}ok {i} - RFC {rfc}: each requirement has a status, and each test named exists")
        print(f"# RFC {rfc}: {counts}")
        for why in wrong:
            print(f"# {doc}: {why}")
    unknown = [f"RFC {r}" for r in tables if r not in RFCS] + [f"line {n}" for n in stray]
    print(f"{'not ' * bool(unknown)}ok {len(RFCS) + 1} - no requirement is of another document")
    for what in unknown:
        print(f"# {doc}: {what}")
    print(f"1..{len(RFCS) + 1}")
    sys.exit(bool(failed or unknown))


if __name__ == "__main__":
    main()
