# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tables of a run in a document, between the two marks of a name."""


def fill(path, name, lines):
    """Puts them there in the place of older ones. ValueError without the marks: then nothing is changed."""
    begin, end = "<!-- %s: begin -->\n" % name, "<!-- %s: end -->\n" % name
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError("the marks are missing: %s... %s" % (begin, end))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n```\n" + "\n".join(lines) + "\n```\n\n" + end + after)
