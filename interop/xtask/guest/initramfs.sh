#!/bin/busybox sh
# The guest's initramfs: loads what the root disk needs, mounts it, and gives way to its init.

busybox=/bin/busybox
give_up() {
    echo "@fatal $*"
    $busybox dmesg | $busybox tail -n 40
    $busybox poweroff -f
}

$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev

# options_of MODULE: what the command line says of it, as modprobe reads it
options_of() {
    for word in $($busybox cat /proc/cmdline); do
        case $word in
        "$1".*=*) echo "${word#*.}" ;;
        esac
    done
}

for module in $($busybox cat /modules/order); do
    # Several options are several words.
    $busybox insmod "/modules/$module.ko" $(options_of "$module") || give_up "the module $module cannot be loaded"
done

# The driver looks for its disks in the background.
tries=0
until root=$($busybox findfs LABEL=interop-root 2>/dev/null); do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || give_up "no disk with the root file system came up within a minute"
    $busybox sleep 0.1
done

$busybox mount -t ext4 "$root" /root || give_up "the root file system on $root cannot be mounted"
for folder in proc sys dev; do
    $busybox mount --move "/$folder" "/root/$folder"
done
exec $busybox switch_root /root /sbin/init
give_up "the root file system has no init"
