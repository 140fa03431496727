#!/usr/bin/env bash
# Runs the parts of `make check` one after the other, goes on after a failure, and says in the end
# which failed and how long each took.
set -u
failed=0
passed=0
summary=""
for part in "$@"; do
	echo "==== $part"
	start=$SECONDS
	if make --no-print-directory "$part"; then
		passed=$((passed + 1))
		word=passed
	else
		failed=$((failed + 1))
		word=FAILED
	fi
	summary+=$(printf '%-14s %-7s %4d s' "$part" "$word" $((SECONDS - start)))$'\n'
done
printf '\n==== summary\n%s' "$summary"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
