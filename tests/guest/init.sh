#!/bin/busybox sh
# First process of the test guest: mount, load modules, watch the power button, give a shell.
export PATH=/bin
export HOME=/
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
busybox --install -s /bin

while read -r module; do insmod "/lib/modules/$module"; done </lib/modules/order
hostname mechane-guest

# The last word of the list is where the kernel writes /dev/console; ttyS0 where no serial console is set.
consoles=$(cat /sys/class/tty/console/active)
console=${consoles##* }
case "$console" in ttyS*|hvc*|ttyAMA*) ;; *) console=ttyS0 ;; esac

# ACPI power button (system_powerdown): one input event is 24 bytes on a 64-bit kernel.  The device is open
# before the prompt shows, so that no press after that is lost.
for event in /sys/class/input/event*; do
  [ "$(cat "$event/device/name" 2>/dev/null)" = "Power Button" ] || continue
  exec 3<"/dev/input/${event##*/}"
  ( dd of=/dev/null bs=24 count=1 <&3 2>/dev/null
    echo "power button: powering off" >"/dev/$console"
    sync
    poweroff -f ) &
  exec 3<&-
done

cat >/etc/profile <<'END'
PS1='mechane-guest # '
END
exec <"/dev/$console" >"/dev/$console" 2>&1
echo "mechane test guest: $(uname -sr), $(nproc) cpu, $(awk '/MemTotal/ { print $2 }' /proc/meminfo) KiB"
while :; do setsid cttyhack sh -l; done
