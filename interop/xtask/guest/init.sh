#!/bin/sh
# The guest's process 1: prepares the system, runs the checks or one command, and powers off.

export PATH=/bin HOME=/root
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
. /lib/interop/lib.sh

echo "@ready"
figure kernel_boot_seconds "$(uptime_seconds)"
for module in hv_utils hv_netvsc sg; do
    modprobe "$module" 2>/dev/null
done

if [ -e /etc/interop/run ]; then
    connect >/run/connect.log 2>&1 || { echo "the network is not up:"; cat /run/connect.log; }
    sh /etc/interop/run </dev/null
    say "@exit $?"
else
    for check in /lib/interop/checks/*; do
        timeout 600 sh "$check" </dev/null || echo "$check ended with status $?"
    done
fi

# Once more and undisturbed: the kernel may have spoken into the middle of a line above.
dmesg -n 1
echo "@results"
cat "$results"
echo "@end"

umount /mnt 2>/dev/null
mount -o remount,ro /
poweroff -f
