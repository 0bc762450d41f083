# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of many SAs: figures and goals from what scale.sh measured.

A figure is the median over the rounds, a ratio that of two runs of the same round. Throughput is judged twice: by the
rate of what arrived, and by the CPU time a packet of the daemon's threads while half of their core is taken from them (then
packets wait for them even where they are faster than the generator); the smaller ratio counts. Where generator and wire alone, with the same
packets in the same order, do not reach what would be demanded, the rate says nothing and the half core alone counts.
"""
from goals import median

ORDERS = {"hot": "64 hot", "zipf": "Zipf 0.99", "uniform": "uniform"}
FLAT = 0.9                  # of the figure with one SA
SLOW = 0.95                 # of the slow method's own rate: 1, less what rounds differ by
LIVE = 0.9                  # of what plain forwarding of the same load would leave
CONTROL = 0.25              # of a core, at most, for the control thread in a flood
SCAN_POINTS = 1             # of hit ratio, at least
OTHER_POINTS = -1
CORE_ENOUGH = 0.9
HELD_SHARE = 0.5
LEAST_LOST = 0.02
BURST_ENOUGH = 0.9
LOAD_ALIKE = 0.9
RATE_ALIKE = 0.9


def section(runs, name):
    return [run for run in runs if run["section"] == name]


def mpps(phase, stream="flood"):
    return phase[stream]["got"] / phase["seconds"] / 1e6


def offered(phase, stream="flood"):
    return phase[stream]["sent"] / phase["seconds"] / 1e6


def kept(phase, stream="live"):
    """Share that arrived. What is under way when counting begins makes it more than one at times."""
    sent = phase[stream]["sent"]
    return min(1.0, phase[stream]["got"] / sent) if sent else None


def generator_limited(phases):
    return median([1 - kept(phase, "flood") for phase in phases]) < LEAST_LOST


def gateway_cpu(phase):
    return phase["cpu"]["worker"] + phase["cpu"].get("control", 0)


def core(phase):
    return gateway_cpu(phase) / phase["seconds"]


def cpu_ns(phase):
    return gateway_cpu(phase) / phase["flood"]["got"] * 1e9 if phase["flood"]["got"] else None


def sender_ns(phase):
    """A packet sent: the generator, and the gateway's receive softirq."""
    return phase["cpu"].get("sender", 0) / phase["flood"]["sent"] * 1e9 if phase["flood"]["sent"] else None


def control_core(phase):
    return phase["cpu"].get("control", 0) / phase["seconds"]


def reason(run, name):
    return run["stats"]["reasons"].get(name, 0) if run.get("stats") else 0


def known(values):
    return median([value for value in values if value is not None])


def share(part, rest):
    return part / (part + rest) if part + rest else None


def summarize(rounds):
    """One line of the throughput table."""
    first, halves = rounds[0], [run["held"] for run in rounds if "held" in run]
    return {
        "kind": first["kind"], "size": first["size"], "n": first["n"], "order": first["order"], "rounds": len(rounds),
        "mpps": median([mpps(run) for run in rounds]), "mpps_min": min(mpps(run) for run in rounds),
        "mpps_max": max(mpps(run) for run in rounds), "offered": median([offered(run) for run in rounds]),
        "lost": median([1 - kept(run, "flood") for run in rounds]), "half_ns": known([cpu_ns(half) for half in halves]),
        "sender_ns": known([sender_ns(run) for run in rounds]),
        "hit": median([share(reason(run, "sa_hit"), reason(run, "sa_miss")) for run in rounds])
        if first.get("stats") else None,
        "fast": median([share(reason(run, "fast_in"), reason(run, "slow_in")) for run in rounds])
        if first.get("stats") else None,
        "control": median([control_core(run) for run in rounds]) if first["cpu"].get("control") is not None else None,
        "core": median([core(run) for run in rounds]),
    }


def collect(runs):
    """(kind, size, n, order) -> round -> run"""
    out = {}
    for run in section(runs, "throughput"):
        out.setdefault((run["kind"], run["size"], run["n"], run["order"]), {})[run["round"]] = run
    return out


def doubt(name, runs, phases, had):
    """Why these do not show what the gateway can do, or None."""
    bursts = [share(reason(run, "tx_burst"), reason(run, "tx_direct") - reason(run, "tx_burst")) for run in runs]
    if None in bursts or median(bursts) < BURST_ENOUGH:
        return "%s did not leave by burst transmit" % name
    if median([core(phase) for phase in phases]) / had < CORE_ENOUGH and not generator_limited(phases):
        return "%s had its core for %.0f %% of the time" % (name, 100 * median([core(p) for p in phases]) / had)
    return None


def label(key):
    kind, _, n, order = key
    return "%s%s of %s" % (ORDERS[order], ", slow," if kind == "slow" else "", count(n))


def count(n):
    for unit, text in ((1000000, "M"), (1000, "k")):
        if n >= unit and n % unit == 0:
            return "%d%s" % (n // unit, text)
    return str(n)


def rate_ratio(overs, unders):
    return median([mpps(a) / mpps(b) for a, b in zip(overs, unders) if mpps(b)])


def cpu_ratio(overs, unders):
    return median([cpu_ns(b) / cpu_ns(a) for a, b in zip(overs, unders) if cpu_ns(a) and cpu_ns(b)])


def judge_pair(table, over, under, demand, text):
    """A goal: what `over` carries to what `under` does; None without a round that has both."""
    both = sorted(set(table.get(over, {})) & set(table.get(under, {})))
    if not both:
        return None
    overs, unders = ([table[key][n] for n in both] for key in (over, under))
    held = ([run["held"] for run in overs], [run["held"] for run in unders])
    rate, half = rate_ratio(overs, unders), cpu_ratio(*held)
    if rate is None or half is None:
        return {"goal": text, "size": over[1], "n": over[2], "ratio": 0.0, "rate": rate, "half": half, "demanded": demand,
                "rounds": len(both), "generator": False, "verdict": verdict(0.0, demand, "nothing arrived")}
    wire = table.get(("redirect",) + over[1:], {})
    unreached = wire and demand and median([mpps(run) for run in wire.values()]) < demand * median([mpps(run) for run in unders])
    whys = [doubt(label(key), runs, phases, had) for key, runs, phases, had in (
        (over, overs, held[0], HELD_SHARE), (under, unders, held[1], HELD_SHARE),
        (over, overs, overs, 1), (under, unders, unders, 1))]
    why = next(filter(None, whys[:2] if unreached else whys), None)
    ratio = half if unreached else min(rate, half)
    out = {"goal": text, "size": over[1], "n": over[2], "ratio": ratio, "rate": rate, "half": half, "demanded": demand,
           "rounds": len(both), "generator": bool(unreached)}
    out["verdict"] = verdict(ratio, demand, why or bound(held, ratio, demand))
    return out


def bound(held, ratio, demand):
    """Why even half of a core does not judge: then the ratio is no more than a bound of the true one."""
    above, below = (generator_limited(phases) for phases in held)
    if demand is None or above == below or (above and ratio >= demand) or (below and ratio < demand):
        return None
    return "generator-limited: %s %.2f" % ("at least" if above else "at most", ratio)


def verdict(value, demand, why=None, below=False):
    if why:
        return "not judged: " + why
    if demand is None:
        return "no demand"
    return "met" if (value < demand if below else value >= demand) else "NOT MET"


def judge_throughput(runs):
    table, out = collect(runs), []
    for kind, size, n, order in table:
        if kind != "fast" or n == 1:
            continue
        one, key = ("fast", size, 1, "hot"), (kind, size, n, order)
        if order == "uniform":
            out.append(judge_pair(table, key, ("slow", size, n, order), SLOW,
                                  "uniform over %s to the slow method" % count(n)))
        out.append(judge_pair(table, key, one, FLAT if order != "uniform" else None,
                              "%s of %s to one SA" % (ORDERS[order], count(n))))
    return sorted(filter(None, out), key=lambda goal: (goal["size"], goal["demanded"] or 0))


def lost(run, stream):
    return run["total"][stream]["sent"] - run["total"][stream]["got"]


def pace(run, stream):
    """Packets a second that were sent, to those that should have been: a busy machine has no time for more."""
    return run["total"][stream]["sent"] / run["total"]["seconds"] / run["rate"]


def judge_nothing_lost(what, runs, stream):
    worst = max(runs, key=lambda run: lost(run, stream))
    slowest = min(pace(run, stream) for run in runs)
    why = None
    if lost(worst, stream) == 0 and slowest < RATE_ALIKE:
        why = "the generator sent only %.0f %% of a rate" % (100 * slowest)
    return {"goal": what, "value": lost(worst, stream), "demanded": 0,
            "verdict": verdict(-lost(worst, stream), 0, why)}


def judge_misses(runs):
    mine = section(runs, "misses")
    return [judge_nothing_lost("misses: packets lost, the worst of %d rates" % len(mine), mine, "flood")] if mine else []


def judge_reconfig(runs):
    mine = section(runs, "reconfig")
    return [judge_nothing_lost("reconfiguration: packets lost by the SAs not touched, the worst of %d" % len(mine), mine,
                               "live")] if mine else []


def judge_policies(result):
    """Points of hit ratio of the daemon's own policy against LRU that sees every hit."""
    chosen = result["default"]
    points = result["goals"][chosen]
    return [{"goal": "%s against exact LRU, points on the scan trace where it gains least" % chosen,
             "value": points["scan_points"], "demanded": SCAN_POINTS, "verdict": verdict(points["scan_points"], SCAN_POINTS)},
            {"goal": "%s against exact LRU, points on the other trace where it loses most" % chosen,
             "value": points["other_points"], "demanded": OTHER_POINTS,
             "verdict": verdict(points["other_points"], OTHER_POINTS)}]


def flood_rounds(runs):
    """kind -> beside -> round -> run"""
    out = {}
    for run in section(runs, "floods"):
        out.setdefault(run["kind"], {}).setdefault(run["beside"], {})[run["round"]] = run
    return out


def summarize_flood(kind, besides):
    out = {"kind": kind}
    for beside, rounds in besides.items():
        out[beside] = {"offered": median([offered(run) for run in rounds.values()]),
                       "live": median([kept(run) for run in rounds.values()])}
    floods = list(besides["flood"].values())
    out["control"] = median([control_core(run) for run in floods])
    seconds = sum(run["total"]["seconds"] for run in floods)
    for name in ("miss_sent", "miss_limited", "miss_lost", "sa_evicted"):
        out[name] = sum(reason(run, name) for run in floods) / seconds
    return out


def starved(runs):
    """Why these do not show what a flood does, or None: on a busy machine threads wait for each other."""
    if median([run["live"]["sent"] / run["seconds"] / run["rate"] for run in runs]) < RATE_ALIKE:
        return "the generator had not its core"
    if median([1 - kept(run) for run in runs]) >= LEAST_LOST and median([core(run) for run in runs]) < CORE_ENOUGH:
        return "%s lost live traffic with %.0f %% of its core" % (runs[0]["gateway"], 100 * median([core(run) for run in runs]))
    return None


def judge_flood(kind, floods, plains):
    """Runs of the same rounds."""
    value = median([kept(a) / kept(b) for a, b in zip(floods, plains)])
    alike = median([offered(b) / offered(a) for a, b in zip(floods, plains)])
    text = "flood of %s: live traffic, to plain forwarding of the same load" % kind
    if alike < LOAD_ALIKE:
        text += " (of %.0f %% of it: the demand is the stricter)" % (100 * alike)
    yield {"goal": text, "value": value, "demanded": LIVE,
           "verdict": verdict(value, LIVE, starved(floods) or starved(plains))}
    control = median([control_core(run) for run in floods])
    yield {"goal": "flood of %s: CPU of the control thread, share of a core" % kind, "value": control,
           "demanded": CONTROL, "below": True, "verdict": verdict(control, CONTROL, below=True)}


def judge_floods(runs):
    out = []
    for kind, besides in flood_rounds(runs).items():
        both = sorted(set(besides["flood"]) & set(besides.get("worker", {})))
        if both:
            out += judge_flood(kind, *([besides[which][n] for n in both] for which in ("flood", "worker")))
    return out


def faults(runs):
    """Packets that are not what was put into their ESP: then nothing here is a result."""
    return ["%s: %d of the samples are wrong" % (run["section"], run["total"]["wrong"])
            for run in runs if run.get("total", {}).get("wrong")]
