#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Folders of the daemon include what is behind them in this line and nothing before (doc/architecture.md), and what is
# pure includes no header of sockets, maps or events.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh

line=(control source dataplane cache sad ipsec crypto)

# includes FOLDER REGEX: "file: header" of what its files include that fits
includes() {
	find "$1" -name '*.[ch]' -exec grep -HoE "^#include [<\"]$2" {} + | sed 's/:#include ./: /'
}
above=
for folder in "${line[@]}"; do
	[ -z "$above" ] ||
		tap_is "$folder includes nothing of $above" "$(includes daemon/$folder "(${above// /|})/[^\"]*")" ""
	above=${above:+$above }$folder
done
for folder in source dataplane cache sad ipsec crypto; do
	tap_is "$folder includes nothing of the process but its log" \
		"$(includes daemon/$folder '[a-z_]+\.h"' | grep -E '^[^:]*: [a-z_]*\.h"$' | while IFS=' ' read -r file header; do
			[ -f "daemon/${header%\"}" ] && [ "$header" != 'log.h"' ] && echo "$file $header"
		done)" ""
done
for folder in ipsec crypto; do
	tap_is "$folder knows no sockets, maps or events" \
		"$(includes daemon/$folder '(sys/socket|sys/ioctl|bpf/|xdp/|urcu|event2|netlink|linux/(netlink|rtnetlink|if_xdp|bpf))[^>"]*')" ""
done
tap_done
