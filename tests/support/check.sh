#!/usr/bin/env bash
# Runs the parts of `make check` one after the other, goes on after a failure, and says in the end
# which failed and how long each took.
#
# What sanitizers' parts need is built while earlier parts wait for clocks and networks, by processes
# that run only when nothing else wants to: the tests shall not notice. Its output is thrown away;
# what it could not build, its part builds again, and says why not.
set -u
MAKE=${MAKE:-make}
failed=0
passed=0
summary=""

ahead=""
for part in "$@"; do
	case $part in san | hostile | fuzz-replay | tsan) ahead+=" $part-ahead" ;; esac
done
case " $ahead " in *" ${1-}-ahead "*) ahead="" ;; esac # nothing comes before it

# In a session of its own, which the kernel may schedule as one group (autogroup): then the group's
# nice value decides, and that of its processes only within it.
build_ahead() {
	exec setsid bash -c '
		renice -n 19 $$
		[ ! -w /proc/self/autogroup ] || echo 19 >/proc/self/autogroup
		chrt --idle -p 0 $$
		for target in $2; do $1 --no-print-directory "$target"; done
	' bash "$MAKE" "$ahead" >/dev/null 2>&1
}

builder=""
end_builder() {
	[ -z "$builder" ] || kill -- "-$builder" 2>/dev/null
	builder=""
}
trap end_builder EXIT
trap 'exit 1' HUP INT TERM
if [ -n "$ahead" ]; then
	build_ahead &
	builder=$!
fi

for part in "$@"; do
	echo "==== $part"
	start=$SECONDS
	case " $ahead " in
	*" $part-ahead "*)
		[ -z "$builder" ] || wait "$builder"
		builder=""
		;;
	esac
	if $MAKE --no-print-directory "$part"; then
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
