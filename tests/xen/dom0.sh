#!/bin/busybox sh
# First process of dom0: mount, load Xen's modules, start xenstored and xenconsoled, offer SSH.
export PATH=/bin:/sbin:/usr/bin:/usr/lib/xen-4.17/bin
export HOME=/root
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /run/xen /run/xenstored /run/lock /var/log/xen/console /var/lib/xen /var/lib/xenstored /var/lock
mount -t devpts devpts /dev/pts
ln -s /run /var/run
while read -r module; do insmod "/lib/modules/$module" || echo "dom0: no module $module"; done </lib/modules/order
mount -t xenfs xenfs /proc/xen
hostname dom0
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
chmod 700 /root /root/.ssh

xenstored --pid-file=/run/xen/xenstored.pid
n=0
until xenstore-read / >/dev/null 2>&1; do
  n=$((n + 1)); [ $n -gt 100 ] && { echo "dom0: xenstored does not answer"; break; }
  usleep 100000
done
xen-init-dom0
xenconsoled --pid-file=/run/xen/xenconsoled.pid --log=none
# Tools are found by the PATH of a non-interactive shell.
for tool in /usr/lib/xen-4.17/bin/*; do ln -s "$tool" "/usr/bin/${tool##*/}"; done
mkdir -p /run/sshd
chmod 600 /etc/ssh/host_key
/usr/sbin/sshd -E /run/sshd.log || cat /run/sshd.log
echo "dom0: ready"
exec sh </dev/console >/dev/console 2>&1
