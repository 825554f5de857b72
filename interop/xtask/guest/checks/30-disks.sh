# The other disks of the same controller: a writable one with discard, and a read-only one.
. /lib/interop/lib.sh

mkdir -p /mnt
address_of() { basename "$(realpath "/sys/block/${1#/dev/}/device")"; }

data=$(disk_labelled interop-data)
root=$(disk_labelled interop-root)
if [ -z "$data" ]; then
    fail disk_second_lun "no disk holds the file system interop-data: $(lsscsi | line)"
    fail discard "there is no second disk"
else
    here=$(address_of "$data")
    if [ "${here%:*}" != "$(address_of "$root" | sed 's/:[0-9]*$//')" ] || [ "${here##*:}" != 1 ]; then
        fail disk_second_lun "$data is $here, not LUN 1 beside the root disk"
    elif ! mount -t ext4 "$data" /mnt 2>/run/error; then
        fail disk_second_lun "$data cannot be mounted: $(line </run/error)"
    else
        dd if=/big of=/mnt/kept bs=1M count=8 conv=fsync 2>/dev/null
        expected=$(hash_of /mnt/kept)
        umount /mnt
        drop_caches
        mount -t ext4 "$data" /mnt
        found=$(hash_of /mnt/kept)
        if [ "$found" = "$expected" ]; then
            say "@hash data /kept $found"
            pass disk_second_lun "$data at $here, 8 MiB, sha256 $found"
        else
            fail disk_second_lun "wrote $expected, read $found"
        fi
    fi

    # Field 14 of the disk's statistics counts the 512-byte sectors discarded.
    discarded() { awk '{ print $14 * 512 }' "/sys/block/${data#/dev/}/stat"; }
    size=$((32 * 1024 * 1024))
    dd if=/big of=/mnt/freed bs=1M count=32 conv=fsync 2>/dev/null
    rm /mnt/freed
    sync
    before=$(discarded)
    if fstrim /mnt 2>/run/error; then
        bytes=$(($(discarded) - before))
        if [ $bytes -ge $size ]; then
            say "@freed data $size"
            pass discard "$bytes bytes discarded after a file of $size was removed"
        else
            fail discard "only $bytes bytes discarded after a file of $size was removed"
        fi
    else
        fail discard "$(line </run/error)"
    fi
    umount /mnt
fi

locked=$(disk_labelled interop-locked)
if [ -z "$locked" ]; then
    fail disk_read_only "no disk holds the file system interop-locked: $(lsscsi | line)"
else
    flag=$(cat "/sys/block/${locked#/dev/}/ro")
    dd if=/dev/zero of="$locked" bs=4096 count=1 conv=fsync 2>/run/error
    refused=$?
    mount -t ext4 -o ro "$locked" /mnt
    (cd /mnt && sha256sum -c content.sha256 >/run/sums 2>&1)
    intact=$?
    umount /mnt
    if [ "$flag" = 1 ] && [ $refused -ne 0 ] && grep -qE 'not permitted|Read-only' /run/error && [ $intact -eq 0 ]; then
        pass disk_read_only "$locked: $(grep -oE '[A-Z][a-z-]+ (not permitted|file system)' /run/error | head -n 1); content intact"
    else
        fail disk_read_only "$locked: ro=$flag, write status $refused ($(line </run/error)), content status $intact ($(line </run/sums))"
    fi
fi
