# The drivers let go of their devices and take them again.
. /lib/interop/lib.sh

# Prints what went wrong.
reload_network() {
    nic_is_there || { echo "there is no card"; return 1; }
    ip link set "$nic" down
    rmmod hv_netvsc || return 1
    ! nic_is_there || { echo "the card is still there after its driver was removed"; return 1; }
    modprobe hv_netvsc || return 1
    connect || return 1
    ping -c 3 -W 5 "$(gateway)"
}

reload_storage() {
    disk=$(disk_labelled interop-second)
    [ -n "$disk" ] || { echo "there is no second controller"; return 1; }
    device=$(vmbus_device_of "/sys/block/${disk#/dev/}/device")
    name=${device##*/}
    mount -t ext4 "$disk" /mnt || return 1
    dd if=/big of=/mnt/kept bs=1M count=4 conv=fsync 2>/dev/null
    expected=$(hash_of /mnt/kept)
    umount /mnt || return 1
    echo "$name" >/sys/bus/vmbus/drivers/hv_storvsc/unbind || return 1
    ! disk_labelled interop-second || { echo "the disk is still there after its driver let go"; return 1; }
    echo "$name" >/sys/bus/vmbus/drivers/hv_storvsc/bind || return 1
    wait_for 20 disk_labelled interop-second || { echo "the disk did not come back"; return 1; }
    mount -t ext4 "$(disk_labelled interop-second)" /mnt || return 1
    found=$(hash_of /mnt/kept)
    umount /mnt
    [ "$found" = "$expected" ] || { echo "wrote $expected, read $found"; return 1; }
    say "@hash second /kept $found"
}

if ! reload_network >/run/error 2>&1; then
    fail reload "hv_netvsc: $(line </run/error)"
elif ! reload_storage >/run/error 2>&1; then
    fail reload "hv_storvsc: $(line </run/error)"
else
    pass reload "hv_netvsc removed, loaded and reached; the second controller unbound, bound and read"
fi
