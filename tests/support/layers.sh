#!/usr/bin/env bash
# Who may include whom: include <- common <- exporter, probe. exporter and probe meet in include/.
set -u
bad=0

# deny FOLDER PATTERN: no file below FOLDER includes a header that is found below PATTERN
deny() {
	local folder=$1 other=$2 hit
	while IFS=: read -r file header; do
		# the header as the compiler finds it: beside the file first, then the include path
		[ -e "$(dirname "$file")/$header" ] && continue
		for dir in include common probe exporter; do
			[ -e "$dir/$header" ] || continue
			if [ "$dir" = "$other" ]; then
				echo "layers: $file includes $dir/$header"
				bad=1
			fi
			break
		done
	done < <(grep -rHo --include='*.[ch]' '^#include "[^"]*"' "$folder" | sed 's/#include "\(.*\)"/\1/')
}

for other in common exporter probe; do deny include "$other"; done
for other in exporter probe; do deny common "$other"; done
deny exporter probe
deny probe exporter

# every header compiles alone
for header in include/*.h common/*.h probe/*.h probe/*/*.h exporter/*.h exporter/*/*.h; do
	[ -e "$header" ] || continue
	if ! echo "#include \"$header\"" | ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -I. -Iinclude -Icommon -Iprobe \
		-Iexporter -I"$(dirname "$header")" -x c -fsyntax-only - 2>/dev/null; then
		echo "layers: $header does not compile alone"
		bad=1
	fi
done
[ "$bad" -eq 0 ] && echo "layers: 1 passed, 0 failed"
exit "$bad"
