#!/bin/bash
# Become the first process of a system of its own: $1 is an empty folder, $2 the checkout, $3 the unit's file.
# Runs inside namespaces of its own (mount, pid, net, uts, ipc, cgroup); nothing of it reaches the host.
set -euo pipefail
place=$1 checkout=$2 unit=$3
root=$place/root layer=$place/layer groups=$place/root/sys/fs/cgroup
mkdir -p "$root" "$layer"
mount --make-rprivate /
mount -t tmpfs none "$layer"
mkdir "$layer/upper" "$layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs none "$root/run"
mount --rbind /dev "$root/dev"
mkdir -p "$root$checkout"
mount --rbind "$checkout" "$root$checkout"  # it may lie on another file system than /
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 none "$groups"
else
  mount -t tmpfs none "$groups"
  mkdir "$groups/systemd" "$groups/unified"
  mount -t cgroup -o none,name=systemd none "$groups/systemd"
  mount -t cgroup2 none "$groups/unified"
fi
rm -rf "$root/etc/systemd/system"
mkdir -p "$root/etc/systemd/system"
cp "$unit" "$root/etc/systemd/system/mechaned.service"
printf '[Unit]\nDefaultDependencies=no\nRequires=mechaned.service\n' >"$root/etc/systemd/system/trial.target"
exec chroot "$root" /usr/bin/env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=trial.target --log-target=console
