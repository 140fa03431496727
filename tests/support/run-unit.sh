#!/usr/bin/env bash
# Runs Criterion programs, one more at a time than there are cores, since some wait; each runs its
# tests one by one. A leak does not fail a Criterion test, since its child's exit code is lost:
# sanitizer reports go to files here, and a file fails the run. But the runner, too, ends with an
# error for what libcriterion itself forgets at times: a leak whose every frame is a library's is
# said and forgiven. A leak of ours has a frame of ours.
set -u

# Is the report a leak that only the test library knows of?
is_criterions_leak() {
	grep -q 'LeakSanitizer: detected memory leaks' "$1" && ! grep -q 'ERROR: AddressSanitizer' "$1" &&
		! grep -E '^ *#[0-9]+ ' "$1" | grep -Ev 'libsanitizer|libcriterion\.so|libboxfort\.so' | grep -q .
}

# Runs program $1 with its files in $2; prints what is to be said and returns whether it is well.
run_one() {
	local t=$1 logs=$2 status bad=0 f
	export ASAN_OPTIONS="log_path=$logs/asan${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
	export UBSAN_OPTIONS="log_path=$logs/ubsan:print_stacktrace=1"
	"$t" -j1 >"$logs/out" 2>&1
	status=$?
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
	done
	if [ "$status" -ne 0 ]; then
		echo "FAILED $t"
		cat "$logs/out"
		bad=1
	fi
	sed -n 's/.*Tested: \([^ ]*\).*/\1/p' "$logs/out" | sed "s|^|  $(basename "$t"): |; s|\$| tests|"
	return "$bad"
}

# One of many at a time: what it has to say is said in one piece.
if [ "${1-}" = --one ]; then
	logs=$2/$(basename "$3")
	mkdir "$logs"
	if run_one "$3" "$logs" >"$logs/said"; then
		: >"$logs/passed"
	fi
	flock "$2" cat "$logs/said"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\0' "$@" | xargs -0 -r -n 1 -P $(($(nproc) + 1)) "$0" --one "$work"
passed=$(find "$work" -name passed | wc -l)
failed=$(($# - passed))
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
