#!/bin/sh
# The guest's process 1: prepares the system, runs the checks or one command, and powers off: after the checks when its host asks for
# it, as the last of them.

export PATH=/bin HOME=/root
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
. /lib/interop/lib.sh

echo "@ready"
figure kernel_boot_seconds "$(uptime_seconds)"
for module in hv_utils hv_netvsc sg; do
    modprobe "$module" 2>/dev/null
done

power_off() {
    umount /mnt 2>/dev/null
    mount -o remount,ro /
    busybox poweroff -f
}
# When the host asks for it, the kernel runs /sbin/poweroff, which tells process 1 so.
trap 'echo "@shutdown"; power_off' USR2

# A shell hears of signals while it waits, but not while something runs in its foreground.
heedful() {
    "$@" </dev/null &
    wait $!
}

if [ -e /etc/interop/run ]; then
    connect >/run/connect.log 2>&1 || { echo "the network is not up:"; cat /run/connect.log; }
    heedful sh /etc/interop/run
    say "@exit $?"
else
    for check in /lib/interop/checks/*; do
        heedful timeout 600 sh "$check" || echo "$check ended with status $?"
    done
fi

# Once more and undisturbed: the kernel may have spoken into the middle of a line above.
dmesg -n 1
echo "@results"
cat "$results"
echo "@end"

if [ ! -e /etc/interop/run ]; then
    ask_for_shutdown
    heedful sleep 30
fi
power_off
