#!/bin/sh
# make_demo.sh: records demo.pcap beside it, real programs talking between two network namespaces.
#
# The namespaces and the veth between them are made here and taken down at the end; nothing outside
# them is touched. Needs root, iproute2, tcpdump, python3, curl, dig (bind9-dnsutils), ping
# (iputils-ping), ssh and sshd (openssh-server), nc (netcat-openbsd). Each step has a time limit.
set -eu

out=$(cd "$(dirname "$0")" && pwd)/demo.pcap
client=weir-demo-client-$$
server=weir-demo-server-$$
v4=10.99.0.2
v6=fd00:99::2
pids=
made_run_sshd=no

fail() {
	echo "make_demo: $*" >&2
	exit 1
}

clean_up() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	ip netns del "$server" 2>/dev/null || true
	if [ "$made_run_sshd" = yes ]; then rmdir /run/sshd 2>/dev/null || true; fi
	rm -rf "$dir"
}

[ "$(id -u)" -eq 0 ] || fail "needs root for network namespaces"
for tool in ip tcpdump python3 curl dig ping ssh ssh-keygen nc ss timeout; do
	command -v "$tool" >/dev/null || fail "no $tool"
done
sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] || fail "no sshd"

dir=$(mktemp -d)
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

on_client() {
	timeout 30 ip netns exec "$client" "$@"
}

# Starts a server that lives until the end; its pid is remembered.
serve() {
	ip netns exec "$server" "$@" >>"$dir/log" 2>&1 &
	pids="$pids $!"
}

# Polls for at most 10 s.
wait_for() {
	for attempt in $(seq 100); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	cat "$dir/log" >&2
	fail "gave up waiting for: $*"
}

listens() {
	ip netns exec "$server" ss -Hlntu "sport = :$1" | grep -q .
}

make_network() {
	ip netns add "$client"
	ip netns add "$server"
	ip link add name near netns "$client" type veth peer name far netns "$server"
	for side in "$client near 1" "$server far 2"; do
		set -- $side
		ip -n "$1" link set lo up
		ip -n "$1" addr add "10.99.0.$3/24" dev "$2"
		ip -n "$1" addr add "fd00:99::$3/64" dev "$2" nodad
		ip -n "$1" link set "$2" up
	done
}

# A DNS server of one answer: what was asked, with an address.
write_dns_server() {
	cat >"$dir/dns.py" <<'END'
import socket
import struct

server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", 53))
while True:
    query, peer = server.recvfrom(4096)
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack(">H", query[end - 4:end - 2])[0]
    value = {1: socket.inet_aton("10.99.0.2"),
             28: socket.inet_pton(socket.AF_INET6, "fd00:99::2")}.get(kind)
    answer = b"" if value is None else \
        b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(value)) + value
    header = query[:2] + struct.pack(">HHHHH", 0x8580, 1, 1 if value else 0, 0, 0)
    server.sendto(header + query[12:end] + answer, peer)
END
}

start_servers() {
	mkdir "$dir/www"
	python3 -c 'for n in (100, 2000, 9000): open("%d.txt" % n, "w").write("weir " * (n // 5))' ||
		fail "python3"
	mv 100.txt 2000.txt 9000.txt "$dir/www"
	serve python3 -m http.server 8080 --bind :: --directory "$dir/www"
	write_dns_server
	serve python3 "$dir/dns.py"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user_key"
	cp "$dir/user_key.pub" "$dir/authorized"
	if [ ! -d /run/sshd ]; then
		mkdir -p /run/sshd
		made_run_sshd=yes
	fi
	serve "$sshd" -D -e -f /dev/null -p 2222 -h "$dir/host_key" -o PidFile=none -o UsePAM=no \
		-o StrictModes=no -o "AuthorizedKeysFile=$dir/authorized" -o PermitRootLogin=yes
	for port in 8080 53 2222; do
		wait_for listens "$port"
	done
}

start_recording() {
	ip netns exec "$client" tcpdump -i near -s 1518 -n -U -w "$dir/demo.pcap" 2>"$dir/tcpdump" &
	recorder=$!
	pids="$pids $recorder"
	wait_for grep -q listening "$dir/tcpdump"
}

stop_recording() {
	sleep 1                 # what is still on its way to tcpdump
	kill -INT "$recorder"
	wait "$recorder" || true
}

web() {
	for host in "$v4" "[$v6]"; do
		for file in 100.txt 2000.txt 9000.txt missing.txt; do
			on_client curl -s -o /dev/null --max-time 10 "http://$host:8080/$file"
		done
		on_client curl -s --max-time 10 "http://$host:8080/2000.txt" \
			"http://$host:8080/100.txt" >/dev/null      # one connection, two requests
	done
	on_client curl -s -o /dev/null --max-time 5 "http://$v4:8081/" || true   # refused
}

names() {
	for server_address in "$v4" "$v6"; do
		for name in www.example mail.example ns.example; do
			for kind in A AAAA TXT; do
				on_client dig +tries=1 +time=5 "@$server_address" "$name" "$kind" >/dev/null
			done
		done
	done
	on_client dig +tries=1 +time=1 -p 5300 "@$v4" closed.example >/dev/null || true
}

pings() {
	on_client ping -q -n -c 5 -i 0.2 "$v4" >/dev/null
	on_client ping -q -n -c 3 -i 0.2 -Q 0x48 "$v4" >/dev/null
	on_client ping -q -n -c 2 -i 0.2 -s 4000 "$v4" >/dev/null     # fragments
	on_client ping -q -n -c 5 -i 0.2 "$v6" >/dev/null
	on_client ping -q -n -c 2 -i 0.2 -s 4000 "$v6" >/dev/null
}

shells() {
	for host in "$v4" "$v6"; do
		on_client ssh -q -p 2222 -i "$dir/user_key" -o StrictHostKeyChecking=no \
			-o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o BatchMode=yes \
			-F /dev/null "$host" true || fail "ssh to $host: $(tail -n 3 "$dir/log")"
	done
}

# The server says when it listens before the client sends.
pipes() {
	serve timeout 20 nc -l -N 10.99.0.2 9000
	wait_for listens 9000
	head -c 20000 /dev/zero | on_client nc -N "$v4" 9000 >/dev/null
	serve timeout 20 nc -l -N fd00:99::2 9001
	wait_for listens 9001
	head -c 8000 /dev/zero | on_client nc -N "$v6" 9001 >/dev/null
	serve timeout 20 nc -u -l 10.99.0.2 9002
	wait_for listens 9002
	for word in one two three; do
		echo "$word"
		sleep 0.1
	done | on_client nc -u -w 1 "$v4" 9002 >/dev/null
}

cd "$dir"
make_network
start_servers
start_recording
pings
names
web
shells
pipes
stop_recording

cat demo.pcap >"$out"
echo "demo.pcap: $(tcpdump -n -r "$out" 2>/dev/null | wc -l) packets, $(wc -c <"$out") bytes"
