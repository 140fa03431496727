#!/bin/sh
# run.sh: configuration files against what weir makes of them.
#
#   X.in with X.ok    --print-config of it is X.ok, and that file prints as itself
#   X.in with X.err   is refused with status 2 and exactly these lines on standard error
#
# And probe.conf.example is valid. `run.sh update` rewrites the expectations: read the difference.
# WEIR names the program, by default the one at the top of the tree.
set -eu

cd "$(dirname "$0")"
WEIR=${WEIR:-../../weir}
update=${1:-}
passed=0
failed=0
out=$(mktemp)
err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT

result() { # status name
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL: $2"
	fi
}

# Runs weir; its status, or 99 where it wrote to both or neither of its outputs.
print_config() {
	status=0
	"$WEIR" --print-config -c "$1" >"$out" 2>"$err" || status=$?
	if [ -s "$out" ] && [ -s "$err" ]; then status=99; fi
}

check_ok() {
	print_config "$1.in"
	if [ "$update" = update ]; then cp "$out" "$1.ok"; fi
	[ "$status" = 0 ] && diff -u "$1.ok" "$out" || { cat "$err"; return 1; }
	print_config "$1.ok"
	[ "$status" = 0 ] && diff -u "$1.ok" "$out" || { cat "$err"; return 1; }
}

check_err() {
	print_config "$1.in"
	if [ "$update" = update ]; then cp "$err" "$1.err"; fi
	[ "$status" = 2 ] && diff -u "$1.err" "$err"
}

for in in *.in; do
	name=${in%.in}
	verdict=0
	if [ -e "$name.err" ]; then
		check_err "$name" || verdict=1
	else
		check_ok "$name" || verdict=1
	fi
	result "$verdict" "$in"
done

verdict=0
"$WEIR" --check -c ../../probe.conf.example >"$out" 2>"$err" || verdict=1
[ "$(cat "$out")" = "../../probe.conf.example: configuration is valid" ] || verdict=1
cat "$err"
result "$verdict" "probe.conf.example is valid"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
