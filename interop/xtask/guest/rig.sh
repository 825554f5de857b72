#!/bin/busybox sh
# Process 1 of the emulated machine that has nested virtualization: loads KVM, runs the VMM, tells how it ended.

busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
$busybox mount -t tmpfs tmpfs /tmp

for module in $($busybox cat /modules/order); do
    $busybox insmod "/modules/$module.ko"
done

# Ports have names, so that their order does not matter.
for port in /sys/class/virtio-ports/*; do
    $busybox ln -s "/dev/${port##*/}" "/dev/port-$($busybox cat "$port/name")"
done

echo "@rig-ready" >/dev/port-console
/bin/sh /run-vmm </dev/null >/dev/port-console 2>/dev/port-log
echo $? >/dev/port-status
$busybox poweroff -f
