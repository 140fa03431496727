#!/bin/sh
# install-deps.sh GROUP...: install from Debian what a group needs and this machine lacks.
#
#   build   compile weir with everything it can have
#   demo    build, and a collector to show it to
#   test    demo, and what the test suites use
#   dev     what make lint and make format use
#
# A run that finds nothing missing changes nothing and needs no rights. Some of these packages bring
# daemons (nfdump, pmacct, argus-server): none is started by the installation, and what it enabled is disabled.
set -eu

# THE table: group, package (a|b: any of them does, the first that Debian has is taken; =a: not installed
# but unpacked into build/unpacked/a, because it would take the place of this machine's own), what for.
packages() {
	cat <<'END'
build make                                  runs the build
build gcc                                   C compiler
build libc6-dev                             C library headers
build pkg-config|pkgconf                    finds libraries
build libpcap-dev                           pcap inputs and filters
build libevent-dev                          event loop
build libssl-dev                            TLS
build libcbor-dev                           CBOR output
build libconfuse-dev                        configuration file
build libxxhash-dev                         hashing
build zlib1g-dev                            gzipped captures
build libzstd-dev                           zstd captures
build libxdp-dev                            xdp inputs: sockets
build libbpf-dev                            xdp inputs: the program at the port
build libnetfilter-queue-dev                nfqueue inputs
build libnetfilter-log-dev                  nflog inputs
build libmnl-dev                            netlink messages of both
build librdkafka-dev                        Kafka output
demo  nfdump                                nfcapd and nfdump, a NetFlow and IPFIX collector
test  libcriterion-dev                      unit tests
test  tshark                                dissects what weir sends
test  pmacct                                nfacctd, a second collector
test  =rsyslog                              syslog collector
test  =rsyslog-gnutls                       its TLS
test  libestr0                              rsyslog stands on it
test  libfastjson4                          rsyslog stands on it
test  liblognorm5                           rsyslog stands on it
test  libgnutls30                           rsyslog's TLS stands on it
test  =syslog-ng-core                       another syslog collector
test  libivykis0                            syslog-ng stands on it
test  libnet1                               syslog-ng stands on it
test  libpcre3                              syslog-ng stands on it
test  libjson-c5                            syslog-ng stands on it
test  libwrap0                              syslog-ng stands on it
test  kcat                                  Kafka consumer
test  openssl                               keys and certificates, DTLS peer
test  libfixbuf-dev                         IPFIX library of other people
test  clang                                 fuzzing and analysis
test  libclang-rt-14-dev|libclang-rt-19-dev sanitizer and fuzzer runtime of clang
test  python3                               test programs
test  valgrind                              memory checks
test  zstd                                  makes compressed captures
test  gzip                                  makes compressed captures
test  curl                                  traffic and HTTP checks
test  iproute2                              network namespaces
test  tcpreplay                             sends captures over live ports
test  ethtool                               offloads of live ports
test  nftables                              gateways and mirrors of live tests
test  iptables                              queues of live tests
test  softflowd                             a peer of the benchmarks
test  argus-server                          another
test  argus-client                          racount, which sums up its file
test  mandoc                                manual page lint
test  man-db                                manual page display
test  groff                                 manual page formatting
test  procps                                ps
dev   cppcheck                              make lint
dev   clang-format                          make format
END
}

# Group names a group stands for.
group_members() {
	case $1 in
	build) echo build ;;
	demo)  echo build demo ;;
	test)  echo build demo test ;;
	dev)   echo dev ;;
	*)     return 1 ;;
	esac
}

usage() {
	echo "usage: install-deps.sh build|demo|test|dev ..." >&2
	exit 2
}

say() {
	echo "install-deps: $*"
}

is_debian() {
	command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 || return 1
	[ -r /etc/os-release ] || return 1
	(
		ID='' ID_LIKE=''
		. /etc/os-release
		case " $ID $ID_LIKE " in *" debian "*) exit 0 ;; esac
		exit 1
	)
}

unpacked=$(dirname "$0")/../../build/unpacked

is_installed() {
	case $1 in =*) [ -d "$unpacked/${1#=}" ]; return ;; esac
	[ "$(dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1)" = installed ]
}

# Prints "package alternatives|... reason" lines of the wanted groups, once each.
wanted_rows() {
	packages | while read -r group names what; do
		case " $wanted " in *" $group "*) echo "$names $what" ;; esac
	done
}

# Prints the alternatives no one of which is installed.
missing_rows() {
	wanted_rows | while read -r names what; do
		found=no
		for name in $(echo "$names" | tr '|' ' '); do
			if is_installed "$name"; then found=yes; fi
		done
		[ "$found" = yes ] || echo "$names"
	done
}

# Unpacks packages where only the tests look for them: no scripts run, no service is known.
unpack_packages() {
	for name in "$@"; do
		work=$(mktemp -d)
		(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$name") && mkdir -p "$unpacked" &&
			dpkg-deb -x "$work"/*.deb "$work/tree" && cp -a "$work/tree" "$unpacked/$name" || :
		rm -rf "$work"
	done
}

has_candidate() {
	apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}

# Of a|b, the first that the archive has; the first of all where it has none, for apt-get to name.
choose() {
	for name in $(echo "$1" | tr '|' ' '); do
		if has_candidate "$name"; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

list_for_others() {
	say "this is no Debian system, so nothing was installed. Needed (Debian's package names):"
	wanted_rows | while read -r names what; do
		printf '  %-42s %s\n' "$(echo "${names#=}" | sed 's/|/ or /g')" "$what"
	done
}

policy=/usr/sbin/policy-rc.d
policy_mark='# made by install-deps.sh for the time of one installation'
policy_is_ours=no

# Debian asks policy-rc.d before it starts a service; 101 says no. One that exists is somebody's
# decision and stays as it is.
forbid_services() {
	if [ -e "$policy" ] || [ -L "$policy" ]; then
		return 0
	fi
	if (set -C; printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy") 2>/dev/null; then
		policy_is_ours=yes
		chmod 755 "$policy"
	fi
}

allow_services() {
	if [ "$policy_is_ours" = yes ] && grep -qxF "$policy_mark" "$policy" 2>/dev/null; then
		rm -f "$policy"
	fi
	policy_is_ours=no
}

# Service units that belong to the given packages and start with the system. Template units (x@)
# have no instance of their own and are left out.
enabled_services() {
	command -v systemctl >/dev/null 2>&1 || return 0
	for name in "$@"; do
		dpkg-query -L "$name" 2>/dev/null
	done | sed -n 's|^\(/usr\)\{0,1\}/lib/systemd/system/\([^/@]*\.service\)$|\2|p' | sort -u |
	while read -r unit; do
		if [ "$(systemctl is-enabled "$unit" 2>/dev/null)" = enabled ]; then
			echo "$unit"
		fi
	done
}

# None of the packages was there before, so every unit of theirs that is enabled is newly so.
silence_services() {
	now=
	if [ -d /run/systemd/system ]; then
		now=--now
	fi
	for unit in $(enabled_services "$@"); do
		say "disabling $unit, which the installation enabled"
		systemctl --quiet disable $now "$unit" 2>/dev/null || say "could not disable $unit"
	done
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	forbid_services
	status=0
	apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		install "$@" </dev/null || status=$?
	silence_services "$@"
	allow_services
	return "$status"
}

[ $# -gt 0 ] || usage
wanted=
for group in "$@"; do
	members=$(group_members "$group") || usage
	wanted="$wanted $members"
done

if ! is_debian; then
	list_for_others
	exit 1
fi

missing=$(missing_rows)
if [ -z "$missing" ]; then
	say "nothing missing for: $*"
	exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null 2>&1; then
		exec sudo -- sh "$0" "$@"
	fi
	say "missing: $(echo "$missing" | tr '\n' ' ')"
	say "cure: run this as root, there is no sudo here"
	exit 1
fi

trap allow_services EXIT
trap 'exit 1' HUP INT TERM

say "missing: $(echo "$missing" | tr '\n' ' ')"
DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null
chosen=
apart=
for names in $missing; do
	case $names in
	=*) apart="$apart ${names#=}" ;;
	*)  chosen="$chosen $(choose "$names")" ;;
	esac
done
[ -z "$chosen" ] || install_packages $chosen
unpack_packages $apart
left=$(missing_rows)
if [ -n "$left" ]; then
	say "still missing: $(echo "$left" | tr '\n' ' ')"
	exit 1
fi
say "done"
