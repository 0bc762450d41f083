#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A script of XFRM commands, run against whatever answers XFRM netlink here, and two such runs compared.

    xfrm_compare.py run SCRIPT TELL_ERRNO.SO    prints, as JSON, what came of each command
    xfrm_compare.py compare SCRIPT LINUX XIPSEC DOC    two such files, in TAP: a result a section of the script

The form of the script is told in tests/interop/xfrm_script.txt.
"""
import json
import os
import re
import select
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xfrm_messages as xfrm  # pylint: disable=wrong-import-position

ALL_GROUPS = 0xff
NEWS_END = re.compile(r"Default policies:\n in:.*\n fwd:.*\n out:.*\n")


# the script -------------------------------------------------------------------------------------------------------------

class Command:
    def __init__(self, number, section, kind, words):
        self.number, self.section, self.kind, self.words = number, section, kind, words
        self.differs = []       # (name of a reason, how)


class Script:
    def __init__(self, path):
        self.path, self.reasons, self.commands, self.names, self.section = path, {}, [], {}, ""
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self.take(number, line.strip())

    def take(self, number, line):
        kind, _, rest = line.partition(" ")
        if line.startswith("# == "):
            self.section = line[5:]
        elif not kind or kind[0] == "#":
            return
        elif kind == "let":
            name, _, value = rest.partition(" ")
            self.names[name] = self.expand(value.strip()).replace("%", "%08x" % number)
        elif kind == "reason":
            name, _, text = rest.partition(": ")
            self.reasons[name] = text
        elif kind == "differs":
            name, _, how = rest.partition(": ")
            if name not in self.reasons:
                sys.exit("%s:%d: no reason %s" % (self.path, number, name))
            self.commands[-1].differs.append((name, how))
        elif kind in ("ip", "try", "raw", "batch", "await"):
            words = self.expand(rest).replace("@", "%08x" % number)
            self.commands.append(Command(number, self.section, kind, ("raw " if kind == "raw" else "") + words))
        else:
            sys.exit("%s:%d: not understood: %s" % (self.path, number, line))

    def expand(self, text):
        return re.sub(r"\$(\w+)", lambda match: self.names[match.group(1)], text)


# a run ------------------------------------------------------------------------------------------------------------------

class Monitor:
    """`ip xfrm monitor all`, and a socket of our own in all groups. Behind a command the defaults are turned over and back,
    of which both hear: what came before are the news of that command."""

    def __init__(self):
        self.asker, self.text = xfrm.Socket(), ""
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(["/bin/ip", "xfrm", "monitor", "all"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.defaults = self.asker.defaults()
        end = time.monotonic() + xfrm.SECONDS
        while not self.read(0.02):
            self.mark()
            if time.monotonic() > end:
                sys.exit("ip xfrm monitor hears nothing")
        while self.read(0.2):   # which of the marks it has heard cannot be told
            pass
        self.listener, self.text = xfrm.Socket(ALL_GROUPS), ""

    def read(self, seconds):
        """False: nothing came in this time."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            sys.exit("ip xfrm monitor has ended: " + self.text)
        self.text += data.decode()
        return True

    def mark(self):
        """Returns the first of the two messages that come of it, in words."""
        other = bytes(xfrm.ACCEPT + xfrm.BLOCK - value for value in self.defaults)
        for values in (other, self.defaults):
            self.asker.order(xfrm.NUMBERS["SETDEFAULT"], values)
        return xfrm.describe(xfrm.NUMBERS["GETDEFAULT"], 0, other + b"\0")

    def news(self, messages=()):
        """What both heard since the last call, of which the socket has given us these already: a list and a text."""
        told = list(messages)
        end = self.mark()
        while end not in told[len(messages):-1]:
            told += self.heard()
        told = told[:told.index(end)]
        marks = 2 + sum(message.startswith("GETDEFAULT") for message in told)
        while len(NEWS_END.findall(self.text)) < marks:
            if not self.read(xfrm.SECONDS):
                sys.exit("ip xfrm monitor did not print all: " + self.text)
        ends = list(NEWS_END.finditer(self.text))
        text, self.text = self.text[:ends[marks - 2].start()], self.text[ends[marks - 1].end():]
        return told, text

    def heard(self):
        return [xfrm.describe(kind, flags, body) for kind, flags, _, body in self.listener.receive()]

    def expect(self, kind, count):
        """So many news of a kind come by themselves; returns all that come until then."""
        told = []
        while sum(message.startswith(kind) for message in told) < int(count):
            told += self.heard()
        return told


class Runner:
    def __init__(self, tell_errno):
        self.monitor = Monitor()
        self.asker = xfrm.Socket()
        self.tell_errno = tell_errno

    def ip(self, words, stdin=""):
        """Runs it, with a pipe to which the library writes the error numbers."""
        told, to = os.pipe()
        env = dict(os.environ, TELL_ERRNO=str(to),
                   LD_PRELOAD=":".join(filter(None, (self.tell_errno, os.environ.get("LD_PRELOAD")))))
        done = subprocess.run(["/bin/ip"] + words, input=stdin, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=xfrm.SECONDS, pass_fds=(to,), check=False)
        os.close(to)
        with os.fdopen(told) as numbers:
            errors = [xfrm.errno.errorcode.get(int(number), number) for number in numbers]
        return {"status": done.returncode, "out": done.stdout, "err": done.stderr, "errno": errors}

    def run(self, command):
        told = []
        if command.words.startswith("raw "):
            result = {"answers": self.asker.ask(*xfrm.message(command.words[4:]))}
        elif command.kind in ("ip", "try"):
            result = self.ip(shlex.split(command.words))
        elif command.kind == "batch":
            options, _, lines = command.words.partition(": ")
            result = self.ip(shlex.split(options) + ["-batch", "-"], lines.replace(" ; ", "\n") + "\n")
        else:
            kind, count, words = command.words.split(" ", 2)
            result = self.ip(shlex.split(words))
            told = self.monitor.expect(kind, count)
        if command.kind == "try":
            self.flush()
        if "default" in command.words.lower():
            self.monitor.defaults = self.asker.defaults()
        if not READS.match(command.words):
            result["messages"], result["news"] = self.monitor.news(told)
        return result

    def flush(self):
        self.asker.order(xfrm.NUMBERS["FLUSHSA"], bytes(4))
        for kind in (0, 1):
            self.asker.order(xfrm.NUMBERS["FLUSHPOLICY"], xfrm.ptype(kind))


# Nobody hears of these; if somebody did, it would be among the news of the command behind.
READS = re.compile(r"(-\w+ )*xfrm (state|policy) (list|get|count|getdefault)|raw GET")


def run(path, tell_errno):
    runner = Runner(tell_errno)
    results = []
    try:
        for command in Script(path).commands:
            result = runner.run(command)
            result["number"] = command.number
            results.append(result)
    finally:
        runner.monitor.process.kill()
    json.dump(results, sys.stdout, indent=1)


# what can be compared ---------------------------------------------------------------------------------------------------

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
BUCKETS = re.compile(r"buckets:? count \d+ Max \d+")
INDEX = re.compile(r"index \d{1,3}\b")


def records(text):
    """What a dump prints, in an order of its own: none is promised, and Linux has the newest first."""
    return "".join(sorted(re.split(r"^(?=src )", text, flags=re.M)))


def normal(command, result):
    """Times are not those of another moment; SPIs out of a range are random, indices of policies that name none are counted;
    dumps have no order."""
    result = dict(result)
    words = command.words
    for key in ("out", "err", "news"):
        if key in result:
            result[key] = BUCKETS.sub("buckets", INDEX.sub("index ANY", TIME.sub("TIME", result[key])))
    given = re.search(r"allocspi .*min (\w+) max (\w+)", words)
    if given and result.get("out") and given.group(1) != given.group(2):
        low, high = (int(n, 0) for n in given.groups())

        def hide(match):
            return "spi RANDOM" if low <= int(match.group(1), 16) <= high else match.group(0)
        result["out"] = re.sub(r"spi (0x[0-9a-f]{8})", hide, result["out"])
    if re.search(r"xfrm (state|policy) (list|deleteall)", words):
        result["out"] = records(result["out"])
        result["news"] = records(re.sub("^Deleted ", "", result.get("news", ""), flags=re.M))
        result["messages"] = sorted(result.get("messages", []))
    if "|DUMP" in words:
        result["answers"] = sorted(result["answers"])
    return result


# Words that do not say what is wrong with a request.
EMPTY_WORDS = ("", "Kernel was unable to initialize cryptographic operations", "bytes leftover after parsing attributes")


def said_as_much(linux, ours):
    """The words of an error: ours are Linux's, with more behind a colon or not; where Linux has none, ours are free."""
    return linux == ours or linux in EMPTY_WORDS or ours.startswith(linux + ": ")


def words_of(text):
    return text[len("Error: "):].rstrip(".\n") if text.startswith("Error: ") else ""


def errors_equal(linux, ours):
    if linux["errno"] != ours["errno"]:
        return False
    if linux["err"] == ours["err"]:
        return True
    if not linux["err"].startswith(("Error: ", "RTNETLINK ")) or not ours["err"].startswith(("Error: ", "RTNETLINK ")):
        return False
    return said_as_much(words_of(linux["err"]), words_of(ours["err"]))


def answers_equal(linux, ours):
    if len(linux) != len(ours):
        return False
    for theirs, mine in zip(linux, ours):
        (kind, *code, words), (our_kind, *our_code, our_words) = (line.split(" ", 2) if line.startswith("ERROR ") else
                                                                  (line, "") for line in (theirs, mine))
        if (kind, code) != (our_kind, our_code) or not said_as_much(words, our_words):
            return False
    return True


def differences(linux, ours):
    """Names of the parts that are not equal."""
    found = [key for key in ("status", "out", "news", "messages") if linux.get(key) != ours.get(key)]
    if "err" in linux and not errors_equal(linux, ours):
        found.append("err")
    if "answers" in linux and not answers_equal(linux["answers"], ours["answers"]):
        found.append("answers")
    return found


# deliberate differences -------------------------------------------------------------------------------------------------

def refused_so(ours, how):
    """`refused ERRNO TEXT`: without other effect."""
    code, _, text = how.partition(" ")
    if "answers" in ours:
        return ours["answers"] == ["ERROR %s %s" % (code, text)] and not ours.get("messages")
    return ours["status"] == 2 and words_of(ours["err"]) == text and ours["errno"] == [code] and not ours.get("messages")


def substituted(value, how):
    """s/pattern/text/ on every string of a result."""
    _, pattern, text, *_ = re.split(r"(?<!\\)" + re.escape(how[1]), how)
    if isinstance(value, dict):
        return {key: substituted(item, how) for key, item in value.items()}
    if isinstance(value, list):
        return [substituted(item, how) for item in value]
    return re.sub(pattern, text, value, flags=re.M) if isinstance(value, str) else value


def judge(command, linux, ours):
    """None, or what is wrong."""
    linux, ours = normal(command, linux), normal(command, ours)
    if command.differs and not differences(linux, ours):
        return "no difference any more: take `differs` away"
    for name, how in command.differs:
        if how.startswith("refused "):
            return None if refused_so(ours, how[8:]) else "not so refused: " + how[8:]
        if how == "taken":
            good = ours["answers"] == ["ACK"] if "answers" in ours else not ours["status"] and not ours["err"]
            return None if good else "not taken"
        if how[:1] != "s":
            sys.exit("line %d: not understood: %s" % (command.number, how))
        changed = substituted(linux, how)
        if changed == linux:
            return "nothing of Linux's for %s (%s)" % (how, name)
        linux = changed
    found = differences(linux, ours)
    return ", ".join(found) if found else None


# the report -------------------------------------------------------------------------------------------------------------

def show(result):
    for key in ("status", "out", "err", "errno", "answers", "news", "messages"):
        value = result.get(key)
        if value in (None, "", [], 0):
            continue
        for line in value if isinstance(value, list) else str(value).rstrip("\n").split("\n"):
            yield from ("%-8s| %s" % (key, part) for part in (show_message(line) if key in RAW else (line,)))


RAW = ("answers", "messages")


def show_message(line):
    """Sixteen bytes a line, so that few of them differ."""
    if line.startswith("ERROR"):
        yield line
        return
    for word in line.split(" "):
        name, _, data = word.rpartition("=")
        for at in range(0, max(len(data), 1), 32):
            yield "%s %s%03x %s" % (line.split(" ")[0], name + "=" if name else "", at // 2, data[at:at + 32])


def complain(command, why, linux, ours):
    print("# line %d: %s: %s" % (command.number, command.words, why))
    theirs, mine = list(show(normal(command, linux))), list(show(normal(command, ours)))
    for line in theirs:
        print("#  %s %s" % (" " if line in mine else "-", line))
    for line in mine:
        if line not in theirs:
            print("#  + " + line)


def documented(script, path):
    """The names in the table of the documentation: `name` in the first column."""
    with open(path, encoding="utf-8") as file:
        text = file.read().partition("<!-- deliberate differences -->")[2].partition("<!-- end -->")[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", text, re.M)) == set(script.reasons)


def compare(path, linux_path, ours_path, doc):
    script = Script(path)
    with open(linux_path, encoding="utf-8") as file:
        linux = json.load(file)
    with open(ours_path, encoding="utf-8") as file:
        ours = json.load(file)
    results = []
    for section in dict.fromkeys(command.section for command in script.commands):
        mine = [i for i, command in enumerate(script.commands) if command.section == section]
        bad = [(i, judge(script.commands[i], linux[i], ours[i])) for i in mine]
        bad = [(i, why) for i, why in bad if why]
        differ = sum(bool(script.commands[i].differs) for i in mine)
        results.append(("%s: %d commands, %d deliberate differences" % (section, len(mine), differ), not bad))
        print("%s %d - %s" % ("not ok" if bad else "ok", len(results), results[-1][0]))
        for i, why in bad:
            complain(script.commands[i], why, linux[i], ours[i])
    used = {name for command in script.commands for name, _ in command.differs}
    results.append(("each reason for a difference has one", used == set(script.reasons)))
    print("%s %d - %s" % ("ok" if results[-1][1] else "not ok", len(results), results[-1][0]))
    for name in sorted(set(script.reasons) - used):
        print("# %s has none" % name)
    results.append(("%s lists the same reasons" % doc, documented(script, doc)))
    print("%s %d - %s" % ("ok" if results[-1][1] else "not ok", len(results), results[-1][0]))
    results.append(("all of %d commands were run twice" % len(script.commands),
                    len(linux) == len(ours) == len(script.commands)))
    print("%s %d - %s" % ("ok" if results[-1][1] else "not ok", len(results), results[-1][0]))
    print("1..%d" % len(results))
    return 0 if all(good for _, good in results) else 1


def main():
    if sys.argv[1:2] == ["run"] and len(sys.argv) == 4:
        run(*sys.argv[2:])
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 6:
        sys.exit(compare(*sys.argv[2:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
