# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark's goals: ratios of two cases in the same round, and figures of extras.jsonl.

A ratio is the median over the rounds that have both. Goals of our own cases, and of redirect, are
judged by the CPU time a packet of the gateway's thread (softirq work in its system calls included),
while half of its core is taken from it: then packets wait also for a gateway that is faster than
the generator. One that still loses next to nothing is generator-limited: its time went by in looking
for packets, it could have carried more, and a ratio bounds the true one from one side only. Peers
have work in more places than their threads: judged by rate, if ours had its core.
"""
import statistics

CORE_ENOUGH = 0.9
HELD_SHARE = 0.5            # what the gateway keeps of its core while it is held, as in gen_sink.c
LEAST_LOST = 0.02           # who loses less than this could have carried more
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


def held(run):
    """The measurement with half of the core; None where it was not made, or the core was not taken."""
    phase = run.get("held")
    return phase if phase and phase["packets"] and phase.get("cpu") and phase["hold"] >= CORE_ENOUGH else None


def cpu_ns(phase):
    return phase["cpu"] / phase["packets"] * 1e9


def core(phase):
    return phase["cpu"] / phase["seconds"]


def lost(phase):
    return max(0.0, 1 - phase["mpps"] / phase["offered"])


def generator_limited(phases):
    return median([lost(phase) for phase in phases]) < LEAST_LOST


def median(values):
    return statistics.median(values) if values else None


def burst_share(run):
    """Of what the gateway sent, what left by burst transmit; None where its daemon does not tell."""
    tx = run.get("tx")
    if not tx or not tx["burst"] + tx["xsk"]:
        return None
    return tx["burst"] / (tx["burst"] + tx["xsk"])


def why_not(runs, phases, by):
    """Why these rounds of one case do not show what it is called after, or None."""
    name = unit(runs[0])
    if "-burst" in name:
        shares = [burst_share(run) for run in runs]
        share = None if None in shares else median(shares)
        if share is None:
            return "xipsec port does not tell how %s sent" % name
        if share < BURST_ENOUGH:
            return "%.0f %% of %s left by burst transmit" % (100 * share, name)
    if by == "cpu" and all("cpu" in phase for phase in phases):
        had = median([core(phase) for phase in phases]) / (HELD_SHARE if "hold" in phases[0] else 1)
        if had < CORE_ENOUGH and not generator_limited(phases):
            return "%s had its core for %.0f %% of the time" % (name, 100 * had)
    return None


def ratio_of(above, below, by):
    if by == "rate":
        return above["mpps"] / below["mpps"]
    return cpu_ns(below) / cpu_ns(above)


def bound_of(overs, unders):
    """What a ratio of such phases says of the true one; None: it is the true one."""
    return {(True, False): "at least", (False, True): "at most", (True, True): "neither side of"}.get(
        (generator_limited(overs), generator_limited(unders)))


def judge(value, demand, why, below=False, bound=None):
    if why:
        return "not judged: " + why
    limited = "generator-limited: %s %.2f" % (bound, value) if bound else None
    if demand is None:
        return "no demand" + (", " + limited if limited else "")
    met = value < demand if below else value >= demand
    if bound and bound != ("at least" if met else "at most"):
        return "not judged: " + limited
    return ("met" if met else "NOT MET") + (", " + limited if limited else "")


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
            out.append({"goal": text, "above": above, "below": below, "size": size, "by": by,
                        "rounds": len(both), "demanded": demands.get(size),
                        "rate_bound": bound_of(overs, unders),
                        "rate_ratio": median([ratio_of(a, b, "rate") for a, b in zip(overs, unders)])})
            out[-1].update(judge_ratio(overs, unders, by, demands.get(size)))
    return out


def judge_ratio(overs, unders, by, demand):
    by_hold = by == "cpu" and all(held(run) for run in overs + unders)
    above, below = ([held(run) for run in side] if by_hold else side for side in (overs, unders))
    values = [ratio_of(a, b, by) for a, b in zip(above, below)]
    value, bound = median(values), bound_of(above, below)
    # a ratio by rate asks that ours had all of its core, and nothing of the peer's
    why = why_not(overs, above, "cpu") or why_not(unders, below, by)
    return {"ratio": value, "least": min(values), "most": max(values), "held": by_hold, "bound": bound,
            "verdict": judge(value, demand, why, bound=bound)}


def figure(text, value, unit_text, demand, why=None, below=True):
    return {"goal": text, "value": value, "unit": unit_text, "demanded": demand,
            "below": below, "verdict": judge(value, demand, why, below)}


def judge_idle(result):
    worst = max(result, key=result.get)
    return [figure("idle: CPU of a daemon, the worst of %d (%s)" % (len(result), worst),
                   100 * result[worst], "% of a core", 1)]


def judge_latency(result):
    """kernel is its own forwarding, wake the waking of a thread, the others are gateways, of which one that
    spins is not asleep."""
    out, plain, wake = [], result["kernel"], result.get("wake")
    for quantile in ("p50", "p99") if wake else ():
        out.append(figure("latency: waking a thread on the gateway's CPU, %s" % quantile, wake[quantile], "us", None))
    for name, path in result.items():
        if name in ("kernel", "wake"):
            continue
        share = max(p["lost"] / (p["lost"] + p["packets"]) for p in (path, plain))
        why = "%.1f %% of the packets were lost" % (100 * share) if share > LATENCY_LOST else None
        for quantile, demand in (("p50", None), ("p99", 60)):
            added = path[quantile] - plain[quantile]
            out.append(figure("latency: %s added to kernel forwarding, encrypt, %s (%.1f - %.1f)" %
                              (quantile, name, path[quantile], plain[quantile]), added, "us", demand, why))
            if wake and "spin" not in name:
                out.append(figure("latency: %s added to kernel forwarding and a wake-up, encrypt, %s" %
                                  (quantile, name), added - wake[quantile], "us", None, why))
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
