# The root disk: where it hangs, and whether it keeps what is written.
. /lib/interop/lib.sh

read -r device type <<END
$(awk '$2 == "/" { found = $1 " " $3 } END { print found }' /proc/mounts)
END
bus_device=$(vmbus_device_of "/sys/block/${device#/dev/}/device")
driver=$(driver_of "$bus_device")
if [ "$type" = ext4 ] && [ "$driver" = hv_storvsc ]; then
    pass root_on_storvsc "$device ($type) by $driver, ${bus_device##*/}"
else
    fail root_on_storvsc "/ is $device ($type), its driver ${driver:-unknown}"
fi

# The random bytes and their hash come with the read-only disk, whose content the host made anew for this run.
size=$((64 * 1024 * 1024))
mkdir -p /mnt
mount -t ext4 -o ro "$(disk_labelled interop-locked)" /mnt
cp /mnt/random /run/random
expected=$(cut -d ' ' -f 1 /mnt/random.sha256)
umount /mnt

start=$(uptime_seconds)
dd if=/run/random of=/big bs=1M conv=fsync 2>/run/error
written=$?
rm /run/random
figure disk_write_mb_s "$(rate $size "$start")"
drop_caches
start=$(uptime_seconds)
dd if=/big of=/dev/null bs=1M 2>/dev/null
figure disk_read_mb_s "$(rate $size "$start")"
drop_caches
found=$(hash_of /big)

if [ $written -ne 0 ]; then
    fail disk_write_read "writing failed: $(line </run/error)"
elif [ "$found" != "$expected" ]; then
    fail disk_write_read "wrote $expected, read $found"
else
    say "@hash root /big $found"
    pass disk_write_read "64 MiB, sha256 $found"
fi
