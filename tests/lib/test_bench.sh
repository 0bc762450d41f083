#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The benchmark's judgements, on made-up runs: goals, and the comparison with a baseline.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
need_tools jq

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# bench RATIO...: a benchmark's JSON with these ratios, of made-up cases a, b, ...
bench() {
	local letters=(a b c d e) i=0 ratio
	for ratio; do
		jq -nc --arg above "${letters[i++]}@xdp" --argjson ratio "$ratio" --argjson rounds "${ROUNDS:-5}" \
			'{$above, below: "plain@xdp", size: "64", $ratio, least: ($ratio - 0.1), most: ($ratio + 0.1), $rounds,
			bound: null, verdict: "met"}'
	done | jq -s '{machine: {cpu: "none", cpus: 2, kernel: "0", load: 0, time: "then"}, ratios: .}'
}

bench 1 3 0.8 > "$work/then.json"
tap_check "a run makes a baseline" tests/bench/compare.py --write "$work/base.json" "$work/then.json"
tap_is "of ratios and their spread alone" \
	"$(jq -c '[.ratios | keys[0], .[].ratio] + (.ratios[] | [.least, .most, .rounds]) + (.machine | keys)' \
		"$work/base.json" | head -n 1)" \
	'["a@xdp / plain@xdp, 64",1,3,0.8,0.9,1.1,5,"cpu","cpus","kernel","time"]'

# compared RATIO...: status of the comparison, and the verdicts
compared() {
	bench "$@" > "$work/now.json"
	tests/bench/compare.py "$work/base.json" "$work/now.json" > "$work/out"
	echo "$? $(awk '/@xdp/ { print $NF }' "$work/out" | tr '\n' ' ')"
}
tap_is "the same ratios" "$(compared 1 3 0.8)" "0 ok ok ok "
tap_is "a loss of 14 % passes" "$(compared 0.86 2.58 0.688)" "0 ok ok ok "
tap_is "a loss of 16 % fails" "$(compared 1 2.52 0.8)" "1 ok WORSE ok "
tap_is "a gain elsewhere does not make up for it" "$(compared 9 9 0.672)" "1 ok ok WORSE "
tap_is "a ratio that is missing fails" "$(compared 1 3)" "1 ok ok MISSING "
tap_is "a ratio that is new is told" "$(compared 1 3 0.8 5)" "0 ok ok ok baseline "
compared 1 2.52 0.8 > /dev/null
tap_is "each comparison is printed, with its spread" "$(sed -n 's/  */ /g; /^b@xdp/p' "$work/out")" \
	"b@xdp / plain@xdp, 64 3.00 (2.90..3.10) 2.52 (2.42..2.62) -16.0% WORSE"

# doubtful FILTER: the three ratios, changed by jq
doubtful() {
	jq "$1" "$work/then.json" > "$work/doubt.json"
}
# written: status, and the ratios of the baseline that this makes
written() {
	rm -f "$work/new.json"
	tests/bench/compare.py --write "$work/new.json" "$work/doubt.json" > /dev/null 2>&1
	echo "$? $(jq -c '[.ratios[].ratio]' "$work/new.json" 2> /dev/null)"
}
doubtful '.ratios[1].verdict = "not judged: the machine is busy"'
tap_is "a ratio that was not judged is not in a baseline" "$(written)" "0 [1,0.8]"
doubtful '.ratios[0].bound = "at least"'
tap_is "nor one that is the generator's" "$(written)" "0 [3,0.8]"
doubtful '.ratios[0, 1].verdict = "not judged: the machine is busy"'
tap_is "a run that could judge but few makes none" "$(written)" "2 "
doubtful '.ratios[].rounds = 4'
tap_is "nor does one of few rounds" "$(written)" "2 "
tests/bench/compare.py "$work/base.json" "$work/doubt.json" > /dev/null 2>&1
tap_is "which is compared with none either" $? 2
out=$(tests/bench/compare.py "$work/nothere.json" "$work/now.json" 2>&1)
tap_is "without a baseline nothing passes" "$? ${out##*; }" "2 make bench makes a run, make bench-baseline the baseline"
# against DOUBT: status, and the verdict on the ratio that is doubtful
against() {
	doubtful "$1"
	tests/bench/compare.py "$work/base.json" "$work/doubt.json" > "$work/out" 2> /dev/null
	echo "$? $(grep -o 'not judged.*' "$work/out")"
}
tap_is "a ratio that could not be judged is named and not compared" \
	"$(against '.ratios[1] |= (.verdict = "not judged: the machine is busy" | .ratio = 1)')" \
	"0 not judged: the machine is busy"
tap_is "nor is one that is the generator's" "$(against '.ratios[1] |= (.bound = "at least" | .ratio = 1)')" \
	"0 not judged: generator-limited"
tap_is "that does not hide another's loss" \
	"$(against '.ratios[0, 1].bound = "at least" | .ratios[2].ratio = 0.5')" \
	$'1 not judged: generator-limited\nnot judged: generator-limited'
tap_is "a comparison of less than half of the baseline is none" "$(against '.ratios[0, 1].bound = "at least"')" \
	$'2 not judged: generator-limited\nnot judged: generator-limited'
echo '{"ratios": {}}' > "$work/empty.json"
tests/bench/compare.py "$work/empty.json" "$work/now.json" > /dev/null 2>&1
tap_is "an empty baseline passes nothing" $? 2

# A benchmark that gives the nth of $work/run1.json, run2.json ..., and notes its options
cat > "$work/run.sh" << 'E2'
#!/bin/bash
work=$(dirname "$0")
echo "$*" >> "$work/options"
while [ "$1" != -o ]; do shift; done
cp "$work/run$(wc -l < "$work/options").json" "$2/bench.json" || exit 3
exit 1
E2
chmod +x "$work/run.sh" && mkdir "$work/out.d"
# regress RUN...: status, and the options of each run; a RUN is three ratios
regress() {
	local n=0 run
	rm -f "$work/options" "$work"/run[0-9].json
	for run; do
		# shellcheck disable=SC2086
		bench $run > "$work/run$((++n)).json"
	done
	XI_BENCH_RUN=$work/run.sh tests/bench/regress.sh "$work/base.json" "$work/out.d" -s 0.3 > "$work/out" 2>&1
	echo "$? $(sed "s| $work/out.d||" "$work/options" | tr '\n' ';')"
}
tap_is "a good comparison is believed" "$(regress "1 3 0.8" "1 1 1")" "0 -p check -o -s 0.3;"
tap_is "a bad one is repeated with twice the rounds" "$(regress "1 2 0.8" "1 3 0.8")" \
	"0 -p check -o -s 0.3;-p check -o -s 0.3 -r 10;"
tap_is "and then believed" "$(regress "1 2 0.8" "1 2 0.8" "1 3 0.8")" \
	"1 -p check -o -s 0.3;-p check -o -s 0.3 -r 10;"
tap_is "without a baseline nothing is measured" "$(rm "$work/options"
	XI_BENCH_RUN=$work/run.sh tests/bench/regress.sh "$work/nothere.json" "$work/out.d" | sed 's/.*; //'
	ls "$work/options" 2> /dev/null)" "make bench-baseline makes it"
tap_is "no result is no comparison" "$(regress)" "3 -p check -o -s 0.3;"

# checked CASE FRAMES SAMPLES [LENGTH]: what the check says to a run of many tunnels with these samples
checked() {
	jq -nc --arg case "$1" --arg frames "$work/$2" --arg samples "$work/$3" --arg work "$work" \
		--argjson sink_cpu "${SINK_CPU:-1}" --argjson bytes $((${4:-78} * 1000)) \
		'{$case, size: "64", round: 1, $samples, $frames, tunnels: ($work + "/tunnels.json"),
		packets: 1000, $bytes, gateway_cpu: 1, $sink_cpu, sink_share: 1}' > "$work/runs.jsonl"
	tests/bench/check.py "$work/runs.jsonl" 2>&1 | sed 's/.*round 1: //; s/: .*//'
}
# frames PCAP OPTION...
frames() {
	tests/bench/frames.py --out "$work/$1" --eth-src 02:00:00:00:00:01 --eth-dst 02:00:00:00:00:02 --size 64 \
		--count 200 --tunnels "$work/tunnels.json" "${@:2}"
}
tests/bench/tunnels.py --count 200 --json "$work/tunnels.json" > "$work/lines"
tap_is "many tunnels have two SAs and three policies each" \
	"$(grep -c 'state add' "$work/lines") $(grep -c 'policy add' "$work/lines")" "400 600"
frames left.pcap --src 10.1.1.2
frames right.pcap --dst 10.1.1.2 --esp --outer-src 192.0.2.2 --outer-dst 192.0.2.1
tap_is "samples of many tunnels are good" "$(checked forward left.pcap left.pcap)" ""
head -c 118 "$work/left.pcap" > "$work/one.pcap"
for _ in {1..15}; do head -c 118 "$work/left.pcap" | tail -c +25; done >> "$work/one.pcap"
tap_is "samples of one of them are not" "$(checked forward left.pcap one.pcap)" \
	"16 samples of only 1 packets"
tap_is "a sink on the generator's CPU is not" "$(SINK_CPU=0 checked forward left.pcap left.pcap)" \
	"the sink's work was done by CPU 0 (100 %), not all by the gateway's"
tap_is "a wrong length is not" "$(checked forward left.pcap left.pcap 79)" "79.0 bytes a frame, not 78.0"
# 14 of Ethernet, 20 of IP, 8 of ESP, 8 of IV, 64 with 2 of trailer and 2 of padding, 16 of ICV
tap_is "nor ESP of the SAs the other way" "$(checked encrypt left.pcap right.pcap 134)" "SPI 0x00020000"
tap_is "nor ESP that was not decrypted" "$(checked decrypt right.pcap right.pcap)" "a packet that was never sent"

# run CASE@SINK ROUND MPPS [CORE [BURST-SHARE]]: a line of runs.jsonl, 1 s, of 64 bytes; HELD: Mpps with
# half of the core; OFFERED: in either
run() {
	jq -nc --arg case "${1%@*}" --arg sink "${1#*@}" --argjson round "$2" --argjson mpps "$3" \
		--argjson cpu "${4:-1}" --argjson burst "${5:-null}" --argjson held "${HELD:-null}" \
		--argjson offered "${OFFERED:-10}" --argjson hold "${HOLD:-1}" --argjson half "${HALF:-0.5}" \
		'{$case, $sink, $round, size: "64", packets: ($mpps * 1e6), seconds: 1, $mpps, $cpu, $offered,
		tx: (if $burst == null then null else {path: "burst", burst: (100 * $burst), xsk: (100 - 100 * $burst)} end)} +
		if $held then {held: {packets: ($held * 1e6), seconds: 1, mpps: $held, cpu: $half, $offered, $hold}} else {} end'
}

# report: status of the report on the runs of stdin, and its goals: ratio and verdict
report() {
	cat > "$work/runs.jsonl"
	tests/bench/report.py --json "$work/bench.json" --svg "$work/bench.svg" "$@" "$work/runs.jsonl" > "$work/out" ||
		echo "status $?"
	jq -r '.ratios[] | "\(.ratio * 100 | round) \(.verdict)"' "$work/bench.json"
	jq -r '.figures[] | "\(if .value then .value * 100 | round / 100 else null end) \(.verdict)"' "$work/bench.json"
}
judged=$({ run encrypt-burst@xdp 1 3.01 1 1; run encrypt-xsk@xdp 1 1; } | report)
tap_is "a ratio that is as good as demanded is met" "$judged" "301 met"
judged=$({ run encrypt-burst@xdp 1 2.99 1 1; run encrypt-xsk@xdp 1 1; } | report)
tap_is "one that is not, is not" "$judged" $'status 1\n299 NOT MET'
judged=$({ for round in 1 2 3; do run encrypt-xsk@tc $round $round; done
	run forward-xsk@tc 1 0.5; run forward-xsk@tc 2 2; run forward-xsk@tc 3 30; } | report)
tap_is "ratios are of one round, and the median of them is judged" "$judged" "100 met"
judged=$({ run encrypt-xsk@tc 2 1; run forward-xsk@tc 1 1; } | report)
tap_is "rounds that have not both give no ratio" "$judged" ""
judged=$({ run encrypt-burst@xdp 1 3 1 0.5; run encrypt-xsk@xdp 1 1; } | report)
tap_is "burst that was not burst is not judged" "$judged" \
	$'status 1\n300 not judged: 50 % of encrypt-burst@xdp left by burst transmit'
judged=$({ run encrypt-burst@xdp 1 3; run encrypt-xsk@xdp 1 1; } | report)
tap_is "nor is burst of which nothing is known" "$judged" \
	$'status 1\n300 not judged: xipsec port does not tell how encrypt-burst@xdp sent'
judged=$({ run decrypt-xsk@tc 1 1 0.5; run forward-xsk@tc 1 1; } | report)
tap_is "nor a gateway that had not its core" "$judged" \
	$'status 1\n200 not judged: decrypt-xsk@tc had its core for 50 % of the time'
judged=$({ run encrypt-burst@xdp 1 3 1 1; run wireguard@xdp 1 0.21 0.1; } | report)
tap_is "peers are judged by rate" "$judged" $'status 1\n1429 NOT MET'

judged=$({ OFFERED=4 HELD=3 run encrypt-burst@xdp 1 4 1 1; HELD=0.5 run encrypt-xsk@xdp 1 1; } | report)
tap_is "what half of the core carries counts, where the whole is too fast for the generator" "$judged" "600 met"
tap_is "the table says who the limit was" "$(awk '/^64 B.*@xdp  / { print $10, $14 }' "$work/out" | tr '\n' ' ')" \
	"generator gateway gateway gateway "
tap_is "and that a ratio of rates is more" "$(sed -n 's/.*) *\(>[^ ]*\) .*/\1/p' "$work/out")" ">4.00"
judged=$({ OFFERED=4 HELD=3 HALF=0.4 run encrypt-burst@xdp 1 4 1 1; HELD=0.5 run encrypt-xsk@xdp 1 1; } | report)
tap_is "a gateway that had not its half is not judged" "$judged" \
	$'status 1\n750 not judged: encrypt-burst@xdp had its core for 80 % of the time'
judged=$({ OFFERED=4 HELD=4 run encrypt-burst@xdp 1 4 1 1; HELD=0.5 run encrypt-xsk@xdp 1 1; } | report)
tap_is "if that is too fast as well, enough is enough" "$judged" "800 met, generator-limited: at least 8.00"
judged=$({ OFFERED=4 HELD=1 HOLD=0.2 run encrypt-burst@xdp 1 4 1 1; HELD=0.5 run encrypt-xsk@xdp 1 1; } | report)
tap_is "half of a core that was not taken does not count" "$judged" "400 met, generator-limited: at least 4.00"
judged=$({ OFFERED=2 run encrypt-burst@xdp 1 2 1 1; run encrypt-xsk@xdp 1 1; } | report)
tap_is "and less than enough says nothing" "$judged" \
	$'status 1\n200 not judged: generator-limited: at least 2.00'
judged=$({ run encrypt-burst@xdp 1 3 1 1; OFFERED=5 run redirect@xdp 1 5; } | report)
tap_is "below a limit, what is too little is not met" "$judged" \
	$'status 1\n60 NOT MET, generator-limited: at most 0.60'
judged=$({ run encrypt-burst@xdp 1 6 1 1; OFFERED=5 run redirect@xdp 1 5; } | report)
tap_is "and what is enough says nothing" "$judged" $'status 1\n120 not judged: generator-limited: at most 1.20'
judged=$({ OFFERED=6 run encrypt-burst@xdp 1 6 1 1; OFFERED=5 run redirect@xdp 1 5; } | report)
tap_is "nor do two limits" "$judged" $'status 1\n120 not judged: generator-limited: neither side of 1.20'
judged=$({ OFFERED=4 run forward-burst@xdp 1 4 1 1; run redirect@xdp 1 5; } | report)
tap_is "without a demand too the limit is told" "$judged" "80 no demand, generator-limited: at least 0.80"

cat > "$work/extras.jsonl" <<'E2'
{"extra": "idle", "skipped": null, "result": {"one": 0.002, "two": 0.011}}
{"extra": "latency", "skipped": null, "result": {"kernel": {"packets": 99, "lost": 0, "p50": 5, "p99": 9},
 "wake": {"packets": 99, "lost": 0, "p50": 8, "p99": 41}, "xsk": {"packets": 99, "lost": 0, "p50": 20, "p99": 68.5}, "burst": {"packets": 90, "lost": 9, "p50": 20, "p99": 30},
 "burst, spin=2000": {"packets": 99, "lost": 0, "p50": 9, "p99": 19.5}}}
{"extra": "foreign", "skipped": null, "result": {"cipher, ARP": 12, "plain, VLAN": 60}}
{"extra": "workers", "skipped": null, "result": [[1, 1.7], [1, 1.9], [2, 3.7]]}
{"extra": "workers", "skipped": "needs 4 CPUs", "result": null}
E2
jq -c . "$work/extras.jsonl" > "$work/lines.jsonl"
judged=$(run redirect@xdp 1 1 | report --extras "$work/lines.jsonl")
tap_is "figures besides the rates are judged" "$judged" 'status 1
1.1 NOT MET
8 no demand
41 no demand
15 no demand
7 no demand
59.5 met
18.5 no demand
15 not judged: 9.1 % of the packets were lost
7 not judged: 9.1 % of the packets were lost
21 not judged: 9.1 % of the packets were lost
-20 not judged: 9.1 % of the packets were lost
4 no demand
10.5 met
60 NOT MET
1.85 met
null skipped: needs 4 CPUs'
tap_check "the drawing is XML" python3 -c "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])" "$work/bench.svg"

# the table of algorithms, of made-up figures
algorithms() {
	jq -n '{machine: {cpu: "none", cpus: 2, kernel: "0", load: 0}, algorithms: [("a b", "c") as $t |
		("one", "two") as $e | (64, 512) as $z | (1, 8, 64) as $n | {transform: $t, engine: $e, bytes: $z, batch: $n,
		seal_ns: ($z + $n), open_ns: ($z + $n + 0.4)}]}' > "$work/alg.json"
}
printf 'before\n<!-- algorithms: begin -->\nold\n<!-- algorithms: end -->\nafter\n' > "$work/doc.md"
algorithms
tap_check "a document gets the table of a run" tests/bench/algorithms.py --doc "$work/doc.md" "$work/alg.json"
tap_is "between its marks" "$(sed -n '1,2p;$p' "$work/doc.md" | xargs -d '\n')" "before <!-- algorithms: begin --> after"
tap_is "in the place of an older one" "$(grep -c old "$work/doc.md")" 0
tap_is "a row for each algorithm and engine, one by one and the most together" "$(grep -E '^(a b|c) ' "$work/doc.md" | sed 's/  */ /g')" \
	"$(for row in 'a b one' 'a b two' 'c one' 'c two'; do echo "$row 65/65 128/128 513/513 576/576"; done)"
cp "$work/doc.md" "$work/again.md"
tests/bench/algorithms.py --doc "$work/doc.md" "$work/alg.json"
tap_check "a second time it is the same" cmp "$work/doc.md" "$work/again.md"
echo none > "$work/bare.md"
out=$(tests/bench/algorithms.py --doc "$work/bare.md" "$work/alg.json" 2>&1)
tap_is "without the marks it says so, and changes nothing" "$? $(grep -o 'marks are missing' <<< "$out") $(cat "$work/bare.md")" \
	"1 marks are missing none"
echo '{"algorithms": null}' > "$work/alg.json"
out=$(tests/bench/algorithms.py --doc "$work/doc.md" "$work/alg.json" 2>&1)
tap_is "nor does a run without the table" "$? $(grep -o 'has none' <<< "$out") $(cmp "$work/doc.md" "$work/again.md")" "1 has none "
tap_check "the benchmark's own document has the marks" \
	test "$(grep -c '^<!-- algorithms: \(begin\|end\) -->$' doc/benchmarks.md)" = 2
tap_done
