#!/bin/sh
# gen.sh [DIR]: rewrites what the tables of the code own in the documents: the parts of probe/weir.8
# and probe/probe.conf.5 between BEGIN and END marks, and docs/ELEMENTS.md.
#
# With DIR the results go there, under the same names, and the tree stays as it is.
set -eu

cd "$(dirname "$0")/.."
target=${1:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Iinclude -Icommon -o "$work/gen_docs" docs/gen_docs.c \
	common/conf_option.c common/conf_value.c common/cpu_list.c common/nearest.c common/netset.c \
	common/counters.c common/field.c -lm

# Puts the parts of a page in place.
fill() {
	mkdir -p "$target/$(dirname "$1")"
	awk -v tool="$work/gen_docs" '
	/^\.\\" BEGIN GENERATED / { print; fflush(); system(tool " " $4); skip = 1; next }
	/^\.\\" END GENERATED/ { skip = 0 }
	!skip' "$1" >"$work/page"
	cp "$work/page" "$target/$1"
}

fill probe/weir.8
fill probe/probe.conf.5
mkdir -p "$target/docs"
"$work/gen_docs" markdown >"$work/page"
cp "$work/page" "$target/docs/ELEMENTS.md"
