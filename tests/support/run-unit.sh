#!/usr/bin/env bash
# Runs Criterion programs. A leak does not fail a Criterion test, since its child's exit code is
# lost: sanitizer reports go to files here, and a file fails the run. But the runner, too, ends with
# an error for what libcriterion itself forgets at times: a leak whose every frame is a library's is
# said and forgiven. A leak of ours has a frame of ours.
set -u
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export ASAN_OPTIONS="log_path=$logs/asan${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="log_path=$logs/ubsan:print_stacktrace=1"
failed=0
passed=0

# Is the report a leak that only the test library knows of?
is_criterions_leak() {
	grep -q 'LeakSanitizer: detected memory leaks' "$1" && ! grep -q 'ERROR: AddressSanitizer' "$1" &&
		! grep -E '^ *#[0-9]+ ' "$1" | grep -Ev 'libsanitizer|libcriterion\.so|libboxfort\.so' | grep -q .
}

for t in "$@"; do
	"$t" >"$logs/out" 2>&1
	status=$?
	bad=0
	for f in "$logs"/asan.* "$logs"/ubsan.*; do
		[ -e "$f" ] || continue
		if is_criterions_leak "$f"; then
			echo "$t: libcriterion lost some memory of its own"
			grep -q 'Failing: 0 | Crashing: 0' "$logs/out" && status=0
		else
			echo "FAILED $t: a sanitizer reports"
			cat "$f"
			bad=1
		fi
		rm -f "$f"
	done
	if [ "$status" -ne 0 ]; then
		echo "FAILED $t"
		cat "$logs/out"
		bad=1
	fi
	sed -n 's/.*Tested: \([^ ]*\).*/\1/p' "$logs/out" | sed "s|^|  $(basename "$t"): |; s|\$| tests|"
	failed=$((failed + bad))
	passed=$((passed + 1 - bad))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
