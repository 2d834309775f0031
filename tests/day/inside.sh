#!/bin/bash
# Become the first process of a host of its own: $1 is an empty folder for the copy-on-write layer, $2 a folder that is
# seen inside as /srv/day/props (read-only), the others are control groups that were made for this host, as HIERARCHY=GROUP.
# Runs inside namespaces of its own (mount, pid, net, uts, ipc, cgroup); nothing of it reaches the machine.
# It says "ready" and then collects orphans until its input closes; the kernel ends what is left.
set -euo pipefail
place=$1 props=$2
shift 2
root=$place/root
mount --make-rprivate /
mkdir -p "$root" "$place/layer"
mount -t tmpfs -o mode=755 none "$place/layer"
mkdir "$place/layer/upper" "$place/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/layer/upper,workdir=$place/layer/work" "$root"

# A machine that was never used: nothing of what libvirt or mechane keep here is seen there.
rm -rf "$root"/etc/libvirt/qemu/* "$root"/etc/libvirt/{storage,nwfilter,secrets} "$root"/{etc,var/lib}/mechane
for folder in lib cache log; do
  find "$root/var/$folder/libvirt" -mindepth 2 -delete 2>/dev/null || true
done

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=1777 none "$root/tmp"
mkdir -p "$root/srv/day/props" "$root/run/lock"
mount --bind "$props" "$root/srv/day/props"
mount -o remount,bind,ro "$root/srv/day/props"

# Devices, but for those that lead to hardware: guests run under TCG.
mount -t tmpfs -o mode=755 none "$root/dev"
for name in null zero full random urandom tty fuse; do
  if [ -e "/dev/$name" ]; then cp -a "/dev/$name" "$root/dev"; fi
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
if [ -e /dev/net/tun ]; then cp -a /dev/net/tun "$root/dev/net"; fi
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 none "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Control groups as far as the machine has them, each seen from the group that was made for this host.
groups=$root/sys/fs/cgroup
for pair; do
  hierarchy=${pair%%=*} name=$(basename "${pair%%=*}")
  kind=$(stat -fc %T "$hierarchy")
  if [ "$hierarchy" = /sys/fs/cgroup ]; then mount -t cgroup2 none "$groups"; continue; fi
  mountpoint -q "$groups" || mount -t tmpfs -o mode=755 none "$groups"
  mkdir "$groups/$name"
  case "$kind,$name" in
  cgroup2fs,*) mount -t cgroup2 none "$groups/$name" ;;
  *,systemd) mount -t cgroup -o none,name=systemd none "$groups/$name" ;;
  *) mount -t cgroup -o "$name" none "$groups/$name" ;;
  esac || rmdir "$groups/$name"
done

ip link set lo up
cd "$root"
mkdir -p .before
pivot_root . .before
umount -l /.before
exec 3<&0
cat <&3 >/dev/null &
echo ready
wait $!
