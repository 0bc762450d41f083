# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's goals: ratios of two cases in the same round, and figures of extras.jsonl.

A ratio is the median over the rounds that have both. Goals of our own cases, and of redirect, are
judged by the CPU time a packet of the gateway's thread (softirq work in its system calls included):
that also holds where other work takes part of the core, or the generator is the limit, though caches
that are shared still blur it. Peers have work in more places than their threads: judged by rate, if ours
had its core.
"""
import statistics

CORE_ENOUGH = 0.9
IDLE_GENERATOR = 0.02       # who loses less than this could have carried more
BURST_ENOUGH = 0.9
LATENCY_LOST = 0.01
SIZES = {"64": "64 B", "512": "512 B", "1408": "1408 B", "imix": "IMIX"}
WAYS = ("encrypt", "decrypt")


def every(demand):
    return dict.fromkeys(SIZES, demand)


def list_goals():
    """Of each: what it says, the case above, the case below, size -> what is demanded, by what."""
    yield "forward: burst to XDP redirect", "forward-burst@xdp", "redirect@xdp", {}, "cpu"
    for way in WAYS:
        for sink, receiver, demand in (("xdp", "an XDP receiver", 3.0), ("skb", "a receiver of skbs", 1.6)):
            yield ("%s: burst to AF_XDP transmit, %s" % (way, receiver),
                   "%s-burst@%s" % (way, sink), "%s-xsk@%s" % (way, sink), every(demand), "cpu")
        yield ("%s: burst to XDP redirect" % way, "%s-burst@xdp" % way, "redirect@xdp",
               {"64": 0.8, "1408": 0.65}, "cpu")
        yield ("%s: AF_XDP to plain AF_XDP forwarding" % way, "%s-xsk@tc" % way, "forward-xsk@tc",
               every(0.9), "cpu")
        yield ("%s: burst, 1000 tunnels to one" % way, "%s-burst-1k@xdp" % way, "%s-burst@xdp" % way, {}, "cpu")
        yield ("%s: AF_XDP, 1000 tunnels to one" % way, "%s-xsk-1k@tc" % way, "%s-xsk@tc" % way, {}, "cpu")
    for peer, demand in (("wireguard", 15), ("libipsec", 15), ("testpmd", None)):
        for sink, receiver in (("xdp", "an XDP receiver"), ("skb", "a receiver of skbs")):
            yield ("encrypt: burst to %s, %s" % (peer, receiver),
                   "encrypt-burst@" + sink, "%s@%s" % (peer, sink),
                   every(demand) if demand and sink == "xdp" else {}, "rate")


def unit(run):
    return "%s@%s" % (run["case"], run["sink"])


def cpu_ns(run):
    return run["cpu"] / run["packets"] * 1e9


def core(run):
    return run["cpu"] / run["seconds"]


def lost(run):
    return max(0.0, 1 - run["mpps"] / run["offered"])


def median(values):
    return statistics.median(values) if values else None


def burst_share(run):
    """Of what the gateway sent, what left by burst transmit; None where its daemon does not tell."""
    tx = run.get("tx")
    if not tx or not tx["burst"] + tx["xsk"]:
        return None
    return tx["burst"] / (tx["burst"] + tx["xsk"])


def why_not(runs, by):
    """Why these rounds of one case do not show what it is called after, or None."""
    name = unit(runs[0])
    if "-burst" in name:
        shares = [burst_share(run) for run in runs]
        share = None if None in shares else median(shares)
        if share is None:
            return "xipsec port does not tell how %s sent" % name
        if share < BURST_ENOUGH:
            return "%.0f %% of %s left by burst transmit" % (100 * share, name)
    if by == "cpu" and all("cpu" in run for run in runs):
        had = median([core(run) for run in runs])
        if had < CORE_ENOUGH and median([lost(run) for run in runs]) > IDLE_GENERATOR:
            return "%s had its core for %.0f %% of the time" % (name, 100 * had)
    return None


def ratio_of(above, below, by):
    if by == "rate":
        return above["mpps"] / below["mpps"]
    return cpu_ns(below) / cpu_ns(above)


def judge(value, demand, why, below=False):
    if why:
        return "not judged: " + why
    if demand is None:
        return "no demand"
    met = value < demand if below else value >= demand
    return "met" if met else "NOT MET"


def judge_ratios(runs):
    """runs: (size, unit) -> round -> run. A dict for every goal and size that was measured."""
    out = []
    for text, above, below, demands, by in list_goals():
        for size in SIZES:
            over, under = runs.get((size, above), {}), runs.get((size, below), {})
            both = sorted(set(over) & set(under))
            if not both:
                continue
            overs, unders = [over[n] for n in both], [under[n] for n in both]
            if by == "cpu" and not all(run.get("cpu") for run in overs + unders):
                continue
            values = [ratio_of(a, b, by) for a, b in zip(overs, unders)]
            value, why = median(values), why_not(overs, "cpu") or why_not(unders, by)
            out.append({
                "goal": text, "above": above, "below": below, "size": size, "by": by, "ratio": value,
                "least": min(values), "most": max(values), "rounds": len(both),
                "rate_ratio": median([ratio_of(a, b, "rate") for a, b in zip(overs, unders)]),
                "demanded": demands.get(size), "verdict": judge(value, demands.get(size), why)})
    return out


def figure(text, value, unit_text, demand, why=None, below=True):
    return {"goal": text, "value": value, "unit": unit_text, "demanded": demand,
            "below": below, "verdict": judge(value, demand, why, below)}


def judge_idle(result):
    worst = max(result, key=result.get)
    return [figure("idle: CPU of a daemon, the worst of %d (%s)" % (len(result), worst),
                   100 * result[worst], "% of a core", 1)]


def judge_latency(result):
    out, plain = [], result["kernel"]
    for name, path in result.items():
        if name == "kernel":
            continue
        share = max(p["lost"] / (p["lost"] + p["packets"]) for p in (path, plain))
        why = "%.1f %% of the packets were lost" % (100 * share) if share > LATENCY_LOST else None
        for quantile, demand in (("p50", None), ("p99", 60)):
            out.append(figure("latency: %s added to kernel forwarding, encrypt, %s (%.1f - %.1f)" %
                              (quantile, name, path[quantile], plain[quantile]),
                              path[quantile] - plain[quantile], "us", demand, why))
    return out


def judge_foreign(result):
    worst = max(result, key=result.get)
    return [figure("foreign: XDP program, the dearest of %d frames (%s)" % (len(result), worst),
                   result[worst], "ns", 60)]


def judge_workers(result):
    return [figure("workers: two to one, encrypt, 64 bytes", median([two / one for one, two in result]),
                   "", 1.8, below=False)]


JUDGES = {"idle": judge_idle, "latency": judge_latency, "foreign": judge_foreign, "workers": judge_workers}


def judge_extras(extras):
    out = []
    for extra in extras:
        if extra["skipped"]:
            out.append({"goal": extra["extra"], "value": None, "verdict": "skipped: " + extra["skipped"]})
        else:
            out += JUDGES[extra["extra"]](extra["result"])
    return out
