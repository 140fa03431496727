#!/usr/bin/env bash
# Programs with threads under ThreadSanitizer: the stress programs, and whole replays with several
# workers and outputs. $1: folder of the variant.
set -u
dir=$1
pcaps=${WEIR_PCAPS:-../shared/pcaps}
passed=0
failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS="exitcode=66 halt_on_error=0"

# ThreadSanitizer of this compiler wants the classic address layout
run() {
	if setarch "$(uname -m)" -R "$@" >"$tmp/out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $*"
		tail -n 60 "$tmp/out"
	fi
}

for program in "$dir"/stress/*; do
	[ -x "$program" ] && [ -f "$program" ] && run "$program"
done
for file in pcaps/demo.pcap "$pcaps"/markofu-ftp-crack.pcap "$pcaps"/pcpp-example.pcap; do
	if [ ! -e "$file" ]; then
		echo "stress: SKIPPED $(basename "$file"), not there"
		continue
	fi
	run "$dir/weir" -r "$file" -w 4 -o "json:$tmp/a.json" -o "ipfix-file:$tmp/a.ipfix" -o null: --stats json
	run "$dir/weir" -r "$file" -w 1 -o "csv:$tmp/a.csv" -o "cbor:$tmp/a.cbor" --stats json
done
echo "stress: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
