#!/usr/bin/env bash
# Runs Criterion programs. A leak does not fail a Criterion test, since its child's exit code is
# lost: sanitizer reports go to files here, and a file fails the run.
set -u
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export ASAN_OPTIONS="log_path=$logs/asan${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="log_path=$logs/ubsan:print_stacktrace=1"
failed=0
passed=0
for t in "$@"; do
	if "$t" >"$logs/out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $t"
		cat "$logs/out"
	fi
	sed -n 's/.*Tested: \([^ ]*\).*/\1/p' "$logs/out" | sed "s|^|  $(basename "$t"): |; s|\$| tests|"
	for f in "$logs"/asan.* "$logs"/ubsan.*; do
		[ -e "$f" ] || continue
		echo "FAILED $t: a sanitizer reports"
		cat "$f"
		rm -f "$f"
		failed=$((failed + 1))
	done
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
