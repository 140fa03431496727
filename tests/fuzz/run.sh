#!/usr/bin/env bash
# run.sh replay FOLDER: each target over its corpus. run.sh fuzz FOLDER SECONDS: libFuzzer on each.
set -u
mode=$1
dir=$2
seconds=${3:-60}
passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in "$dir"/fuzz_*; do
	[ -x "$program" ] || continue
	name=$(basename "$program")
	corpus=tests/fuzz/corpus/${name#fuzz_}
	if [ "$mode" = fuzz ]; then
		mkdir -p "build/corpus/$name"
		"$program" -max_total_time="$seconds" -artifact_prefix="build/corpus/$name-" \
			"build/corpus/$name" "$corpus" >"$work/out" 2>&1
	else
		"$program" "$corpus" >"$work/out" 2>&1
	fi
	if [ $? -eq 0 ]; then
		passed=$((passed + 1))
		tail -n 1 "$work/out"
	else
		failed=$((failed + 1))
		echo "FAILED $name"
		tail -n 40 "$work/out"
	fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
