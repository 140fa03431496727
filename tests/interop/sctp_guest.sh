#!/bin/sh
# sctp_guest.sh KERNEL MODULES WEIR SINK CAPTURE OUT: exports the capture over SCTP inside a machine of its
# own, for hosts whose kernel has no SCTP. KERNEL is a vmlinuz, MODULES the modules in the order in which
# they are loaded, one word. The directory OUT gets json (the records), sink (sctpsink's lines) and log.
set -eu

kernel=$1 modules=$2 weir=$3 sink=$4 capture=$5 out=$6
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/tmp" "$root/etc"
cp /usr/bin/busybox "$root/bin/"
for module in $modules; do cp "$module" "$root/$(basename "$module")"; done
cp "$weir" "$root/bin/weir"
cp "$sink" "$root/bin/sctpsink"
cp "$capture" "$root/capture"
for library in $(ldd "$weir" "$sink" | sed -n 's/.* \(\/[^ ]*\) (0x.*/\1/p; s/^\t\(\/[^ ]*\) (0x.*/\1/p' | sort -u); do
	mkdir -p "$root/$(dirname "$library")"
	cp -L "$library" "$root/$library"
done
{
	echo '#!/bin/busybox sh'
	echo 'busybox() { /bin/busybox "$@"; }'
	echo 'busybox mount -t proc proc /proc; busybox mount -t devtmpfs dev /dev'
	echo 'echo 1 >/proc/sys/kernel/printk'
	echo 'busybox ip link set lo up'
	for module in $modules; do echo "busybox insmod /$(basename "$module")"; done
	cat <<'END'
cd /tmp
sctpsink 4739 1 >sink 2>>log &
busybox sleep 1
weir -r /capture --stats json -o json:json -o "ipfix+sctp://127.0.0.1:4739?connect-wait=5" 2>>log
echo "exit $?" >>log
busybox sleep 1
for file in json sink log; do
	echo "BEGIN $file"; busybox base64 $file; echo "END $file"
done
busybox poweroff -f
END
} >"$root/init"
chmod 755 "$root/init"
ln -s busybox "$root/bin/sh"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd"
# Emulated: a nested KVM may be there and not work.
timeout 240 qemu-system-x86_64 -accel tcg -cpu max -m 512 -display none -serial "file:$out/serial" -no-reboot \
	-kernel "$kernel" -initrd "$out/initrd" -append 'console=ttyS0 panic=-1' </dev/null
grep -v '^\[' "$out/serial" | tr -d '\r' >"$out/console"
for file in json sink log; do
	sed -n "/^BEGIN $file\$/,/^END $file\$/p" "$out/console" | sed '1d;$d' | base64 -d >"$out/$file"
done
