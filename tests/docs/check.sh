#!/bin/sh
# check.sh: the documents agree with the code, and render.
#
# WEIR names the program, by default the one at the top of the tree. What a missing tool (mandoc,
# groff, man) would check is skipped and said so.
set -eu

cd "$(dirname "$0")/../.."
WEIR=${WEIR:-./weir}
passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: passes when the command succeeds; its output is shown when it does not.
check() {
	name=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL: $name"
		sed 's/^/  /' "$work/log"
	fi
}

have() {
	command -v "$1" >/dev/null 2>&1 || { echo "skipped: no $1"; return 1; }
}

# Succeeds when the command does and says nothing.
silent() {
	"$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }
	cat "$work/said"
	[ ! -s "$work/said" ]
}

# The page on standard output is not of interest, what is said about it is.
no_warning() {
	"$@" 2>"$work/said" >/dev/null || { cat "$work/said"; return 1; }
	cat "$work/said"
	[ ! -s "$work/said" ]
}

help_fits() {
	"$WEIR" --help >"$work/help"
	awk 'length($0) > 80 { print "too wide: " $0; bad = 1 }
	     END { if (NR > 45) { print NR " lines"; bad = 1 }; exit bad }' "$work/help"
}

# Every key of the table is in the example, set or commented out.
example_has_all_keys() {
	bad=0
	for key in $("$WEIR" --print-config | sed -n 's/^\(# \)\{0,1\}\([a-z][a-z-]*\) =.*/\2/p'); do
		grep -Eq "^(# )?$key = " probe.conf.example || { echo "missing: $key"; bad=1; }
	done
	return $bad
}

# The values in comments are right too. A capture and a live input exclude each other.
example_comments_are_valid() {
	sed -e '/^input = /d' -e 's/^# \([a-z][a-z-]* = \)/\1/' probe.conf.example >"$work/example.conf"
	"$WEIR" --check -c "$work/example.conf"
}

# Keys whose default is shown in the example show the one that the program has.
example_shows_defaults() {
	"$WEIR" --print-config | tr -d '"' >"$work/defaults"
	bad=0
	sed -n 's/^# \([a-z][a-z-]* = .*\)/\1/p' probe.conf.example | tr -d '"' |
		grep -v -e '^read = ' -e '^cpus = ' >"$work/shown"
	while read -r line; do
		grep -Fqx "$line" "$work/defaults" || { echo "not the default: $line"; bad=1; }
	done <"$work/shown"
	return $bad
}

# The options of outputs that weir.8 tells of are taken, and the outputs are there.
outputs_are_there() {
	bad=0
	while read -r url; do
		"$WEIR" --check -o "$url" >"$work/said" 2>&1 || { cat "$work/said"; bad=1; }
	done <<'END'
netflow5://127.0.0.1:2055?mtu=1400&rate=1000&domain=1
netflow9://127.0.0.1:2055?template-refresh=30&mtu=1400&rate=1000&domain=1&fields=default
ipfix://[::1]:4739?biflow=yes&template-refresh=30&mtu=1400&rate=1000&domain=1&fields=default,ipVersion
ipfix-file:/nowhere/x.ipfix?biflow=no&rotate=300&domain=1&fields=default
syslog://127.0.0.1:514?mtu=1500&rate=1000&facility=local4&severity=notice&hostname=h&bom=no&names=ecs&fields=default&biflow=no
syslog+tcp://127.0.0.1:514?facility=local4&severity=notice&hostname=h&bom=yes&queue=1MiB&resend=1MiB&connect-wait=5&rate=10
kafka://127.0.0.1:9092,[::1]:9092/t?spool=/nowhere/spool&spool-size=1MiB&format=cbor&acks=1&compression=zstd&kafka.linger.ms=5&biflow=no&queue=1MiB&connect-wait=5&rate=1
ipfix+dtls://127.0.0.1:4740?mtu=1400&rate=10&template-refresh=30&reconnect=60&queue=1MiB&connect-wait=5&verify=no&dscp=8&source=127.0.0.1
ipfix+sctp://127.0.0.1:4739?resend=1MiB&queue=1MiB&connect-wait=5&rate=10&dscp=8&source=127.0.0.1
json:-?names=ecs&biflow=yes&fields=sourceIPv4Address,reversePacketDeltaCount
json:-?biflow=no
json:%Y/%H%M.json?rotate=64MiB&names=iana
csv:-?fields=sourceIPv4Address,octetDeltaCount&biflow=yes
cbor:flows.cbor?rotate=300&fields=default
table:flows.txt?rotate=1MiB&biflow=no
null:
END
	return $bad
}

# Files that documents of the tree link to exist.
links_lead_somewhere() {
	bad=0
	for doc in $(find . -name '*.md' ! -path './build/*' ! -path './.git/*'); do
		for link in $(grep -o '](\([^)#:]*\))' "$doc" | sed 's/^](\(.*\))$/\1/'); do
			[ -e "$(dirname "$doc")/$link" ] || { echo "$doc: $link"; bad=1; }
		done
	done
	return $bad
}

mkdir "$work/new"
check "docs/gen.sh runs" docs/gen.sh "$work/new"
for file in probe/weir.8 probe/probe.conf.5 docs/ELEMENTS.md; do
	check "$file is stale, run docs/gen.sh" diff -u "$file" "$work/new/$file"
done
for page in probe/weir.8 probe/probe.conf.5; do
	if have mandoc; then check "mandoc: $page" silent mandoc -T lint "$page"; fi
	if have groff; then check "groff: $page" no_warning groff -ww -mandoc -Tutf8 -z "$page"; fi
	if have man; then check "man: $page" no_warning env MANWIDTH=80 man --warnings -l "$page"; fi
done
check "--help fits a screen" help_fits
check "probe.conf.example is valid" "$WEIR" --check -c probe.conf.example
check "probe.conf.example has every key" example_has_all_keys
check "probe.conf.example's comments are valid" example_comments_are_valid
check "probe.conf.example shows the defaults" example_shows_defaults
check "outputs and their options are as weir.8 tells" outputs_are_there
check "links between documents" links_lead_somewhere

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
