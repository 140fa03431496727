#!/bin/sh
# demo.sh: what `make demo` shows. The flows of a capture as a table, then the same flows sent as
# NetFlow v5, v9 and IPFIX to a real collector (nfcapd) on loopback, whose totals must be weir's own.
#
#   PCAP   capture to replay, default pcaps/demo.pcap
#   WEIR   program to run, default the one at the top of the tree
#
# NetFlow, and IPFIX over a network, carry one-way records: a biflow counts once for each direction
# that has packets. NetFlow v5 carries IPv4 only. The sums beside nfdump's are made from JSON so.
set -eu

PCAP=${PCAP:-}
case $PCAP in
'' | /*) ;;
*) PCAP=$PWD/$PCAP ;;
esac
cd "$(dirname "$0")/../.."
PCAP=${PCAP:-pcaps/demo.pcap}
WEIR=${WEIR:-./weir}

collector_pid=
dir=

fail() {
	echo "demo: $*" >&2
	exit 1
}

# Polls a command every tenth of a second for at most $1 seconds.
wait_until() {
	tries=$(($1 * 10))
	shift
	while [ "$tries" -gt 0 ]; do
		if "$@"; then return 0; fi
		sleep 0.1
		tries=$((tries - 1))
	done
	return 1
}

collector_gone() {
	! kill -0 "$collector_pid" 2>/dev/null
}

stop_collector() {
	[ -n "$collector_pid" ] || return 0
	kill -TERM "$collector_pid" 2>/dev/null || true
	wait_until 10 collector_gone || kill -KILL "$collector_pid" 2>/dev/null || true
	wait "$collector_pid" 2>/dev/null || true
	collector_pid=
}

clean_up() {
	stop_collector
	if [ -n "$dir" ]; then rm -rf "$dir"; fi
}

# Prints a column of the kernel's row for the UDP socket bound to the port: 5 is tx:rx queue in
# hex, 13 the datagrams dropped for want of room.
udp_column() {
	awk -v port="$(printf ':%04X' "$1")" -v column="$2" \
		'index($2, port) == length($2) - 4 { print $column; exit }' /proc/net/udp
}

port_is_used() {
	[ -n "$(udp_column "$1" 2)" ]
}

listening_or_gone() {
	port_is_used "$port" || collector_gone
}

queue_is_empty() {
	queued=$(udp_column "$port" 5)
	[ "${queued#*:}" = 00000000 ]
}

random_port() {
	od -An -N2 -tu2 /dev/urandom | awk '{ print 20000 + $1 % 10000 }'
}

# Starts nfcapd on a free loopback port; sets port and collector_pid. The rotation interval is
# longer than any demo, so that one file holds everything.
start_collector() {
	for attempt in 1 2 3 4 5 6 7 8; do
		port=$(random_port)
		if port_is_used "$port"; then continue; fi
		nfcapd -w "$1" -b 127.0.0.1 -p "$port" -t 3600 -B 8000000 >"$1.log" 2>&1 &
		collector_pid=$!
		wait_until 10 listening_or_gone || true
		if port_is_used "$port" && ! collector_gone; then return 0; fi
		stop_collector
	done
	cat "$1.log" >&2
	fail "nfcapd would not listen on loopback"
}

# Prints "flows packets bytes" of the one-way records in JSON Lines. $1: any, or 4 for IPv4 alone.
sum_of_json() {
	awk -v version="$1" '
	function number(key) {
		if (!match($0, "\"" key "\": *[0-9]+"))
			return 0
		value = substr($0, RSTART, RLENGTH)
		sub(/.*: */, "", value)
		return value + 0
	}
	function add(n, octets) {
		if (n > 0) { flows++; packets += n; bytes += octets }
	}
	version == 4 && !/"sourceIPv4Address"/ { next }
	{
		add(number("packetDeltaCount"), number("octetDeltaCount"))
		add(number("reversePacketDeltaCount"), number("reverseOctetDeltaCount"))
	}
	END { printf "%.0f %.0f %.0f\n", flows, packets, bytes }'
}

# Prints one value of nfdump's -I summary on standard input.
summary_value() {
	awk -v key="$1:" '$1 == key { print $2; exit }'
}

# shows protocol, name of the sum to agree with
show_protocol() {
	protocol=$1
	sum=$2
	store=$dir/$protocol
	mkdir "$store"
	start_collector "$store"
	url=$protocol://127.0.0.1:$port
	echo
	echo "== weir -r $PCAP -o $url"
	"$WEIR" -r "$PCAP" -o "$url" --stats json 2>"$dir/stats" || {
		cat "$dir/stats" >&2
		fail "weir failed"
	}
	cat "$dir/stats"
	wait_until 20 queue_is_empty || fail "nfcapd does not read what it is sent"
	lost=$(udp_column "$port" 13)
	stop_collector

	nfdump -R "$store" -I >"$dir/summary" 2>&1 || {
		cat "$dir/summary" >&2
		fail "nfdump failed"
	}
	grep -E '^(Flows|Packets|Bytes|First|Last|Sequence failures)(_[a-z0-9]+)?:' "$dir/summary" |
		awk '$2 != 0 || $1 !~ /_/' | sed 's/^/   /'
	seen="$(summary_value Flows <"$dir/summary") $(summary_value Packets <"$dir/summary") $(
		summary_value Bytes <"$dir/summary")"
	set -- $seen
	if [ "$seen" = "$sum" ]; then
		echo "$protocol: $1 flows $2 packets $3 bytes: nfdump agrees"
		return
	fi
	echo "$protocol: nfdump has ${1:-no} flows ${2:-no} packets ${3:-no} bytes, weir says $sum: THEY DIFFER"
	if [ "${lost:-0}" != 0 ]; then
		echo "$protocol: nfcapd was too slow, the kernel dropped $lost datagrams before it"
	fi
	sed 's/^/   nfcapd: /' "$store.log"
	differing=yes
}

[ -x "$WEIR" ] || fail "no $WEIR: run make first"
[ -r "$PCAP" ] || fail "no capture $PCAP"
for tool in nfcapd nfdump; do
	command -v "$tool" >/dev/null 2>&1 ||
		fail "no $tool: run tests/support/install-deps.sh demo"
done

trap clean_up EXIT
trap 'exit 1' HUP INT TERM
dir=$(mktemp -d)
differing=no

echo "== weir -r $PCAP -o table:-"
"$WEIR" -r "$PCAP" -o table:- --stats none
"$WEIR" -r "$PCAP" -o json:- --stats none >"$dir/flows.json"
sum_all=$(sum_of_json any <"$dir/flows.json")
sum_v4=$(sum_of_json 4 <"$dir/flows.json")

show_protocol netflow5 "$sum_v4"
show_protocol netflow9 "$sum_all"
show_protocol ipfix "$sum_all"

[ "$differing" = no ] || fail "nfdump and weir differ"
