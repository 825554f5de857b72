# The host's devices fail for a minute, while both disks and the network are worked on. Each worker does what an administrator's script
# does: it tries again what failed, mounts a disk again that was away, and asks for an address when the card is a new one.
. /lib/interop/lib.sh

faults_begin() { outb 248 1; }
seconds=60
slots=6 slot_mib=4
source=/run/source
working=/run/working

mkdir -p /mnt
mount -t ext4 -o ro "$(disk_labelled interop-locked)" /mnt
# In memory, so that one disk's faults do not keep the others from being worked on.
dd if=/mnt/random of=$source bs=1M count=24 2>/dev/null
umount /mnt
mount_data() {
    disk=$(disk_labelled interop-data) || return 1
    mount -t ext4 "$disk" /mnt
}

# slice N: 4 MiB of the random bytes, others for each N
slice() { dd if=$source bs=1M skip=$(($1 * 5 % 21)) count=$slot_mib 2>/dev/null; }

# The data disk may be gone, or back as another device. Only a write that gets to the disk shows that it is there: busybox's touch is
# content with a file system that has become read-only.
back_to_data() {
    grep -q ' /mnt ' /proc/mounts && dd if=/dev/zero of=/mnt/alive bs=512 count=1 conv=fsync 2>/dev/null && return 0
    umount /mnt 2>/dev/null
    wait_for 60 mount_data && count mounts
}

# count NAME: one more; each worker has counters of its own
count() { echo >>"/run/count.$1"; }
counted() { wc -l <"/run/count.$1" 2>/dev/null || echo 0; }

# broken WHAT HOW...: what must not be
broken() { what=$1 && shift && echo "$*" >>"/run/broken.$what"; }

# try_again COMMAND...: until it succeeds, with the data disk mounted each time
try_again() {
    attempts=0
    until "$@"; do
        count retries
        attempts=$((attempts + 1))
        [ $attempts -lt 100 ] || return 1
        back_to_data
        sleep 0.2
    done
}

# The file is not alone: what else is written keeps the disk's rings full, and what becomes of that is nobody's matter.
write_slot() {
    dd if=/dev/zero of=/mnt/press bs=1M count=16 conv=fsync 2>/dev/null &
    slice "$n" | dd of="/mnt/f$slot" bs=1M conv=fsync 2>/dev/null
    written=$?
    wait $!
    return $written
}
# From the disk itself: what was written and is stable leaves the kernel's cache.
forget() { echo 1 >/proc/sys/vm/drop_caches; }
read_slot() {
    forget
    found=$(sha256sum "/mnt/f$slot" 2>/dev/null) && found=${found%% *} && [ -n "$found" ]
}

work_on_data() {
    n=0
    while [ -e $working ]; do
        slot=$((n % slots))
        expected=$(slice $n | sha256sum | cut -d ' ' -f 1)
        try_again write_slot || { broken data "file $n was not written"; return; }
        echo "$expected" >"/run/expected.$slot"
        try_again read_slot || { broken data "file $n was not read"; return; }
        [ "$found" = "$expected" ] || broken data "file $n: wrote $expected, read $found"
        count files
        n=$((n + 1))
    done
}

work_on_root() {
    n=0
    while [ -e $working ]; do
        dd if=$source of=/root/file bs=1M skip=$((n % 22)) count=2 conv=fsync 2>/dev/null || broken root "file $n was not written"
        expected=$(dd if=$source bs=1M skip=$((n % 22)) count=2 2>/dev/null | sha256sum)
        forget
        [ "$(sha256sum </root/file)" = "$expected" ] || broken root "file $n is not what was written"
        count root_files
        n=$((n + 1))
        sleep 1
    done
}

# The host takes the disk away first, and its controller when the guest says that it has let go of the disk.
let_go_of_disk() { outb 248 2; }
data_controller=$(vmbus_device_of "/sys/block/$(basename "$(disk_labelled interop-data)")/device")
disk_is_there() {
    for disk in "$data_controller"/host*/target*/*:*:*:*; do
        [ -e "$disk" ] && return 0
    done
    return 1
}
# It has looked for other disks too, and nothing has been under way for a while.
controller_is_quiet() {
    looks=0
    while [ $looks -lt 15 ]; do
        looks=$((looks + 1))
        [ "$(cat "$data_controller"/host*/scsi_host/host*/host_busy 2>/dev/null)" = 0 ] || looks=0
        [ -e $working ] || break
        sleep 0.2
    done
}
watch_disk() {
    while [ -e $working ]; do
        if disk_is_there; then
            sleep 0.2
        else
            controller_is_quiet
            let_go_of_disk
            wait_for 60 disk_is_there
        fi
    done
    disk_is_there || let_go_of_disk
}

# The same for the card, once it knows that its cable is pulled.
let_go_of_card() { outb 248 3; }
watch_card() {
    while [ -e $working ]; do
        nic_is_there && [ "$(cat "/sys/class/net/$nic/carrier" 2>/dev/null)" = 0 ] && let_go_of_card
        sleep 0.3
    done
}

has_address() { nic_is_there && ip -4 addr show dev "$nic" 2>/dev/null | grep -q inet && [ -n "$(gateway)" ]; }

# transfer N: bytes there and back. What is whole has to be right; what is cut off fails.
transfer() {
    size=262144
    host=$(gateway)
    expected=$(echo "$size $1" | timeout 10 nc "$host" 20 2>/dev/null)
    echo "$size $1" | timeout 10 nc "$host" 19 >/run/down 2>/dev/null
    answer=$(timeout 10 nc "$host" 9 </run/down 2>/dev/null)
    found="$(wc -c </run/down) $(hash_of /run/down)"
    if [ "${expected%% *}" != $size ] || [ "${found%% *}" != $size ] || [ "${answer%% *}" != $size ]; then
        count cut_transfers
        return 1
    fi
    count transfers
    [ "$found" = "$expected" ] && [ "$answer" = "$expected" ] ||
        broken network "$expected sent, $found arrived, $answer came back"
}
work_on_network() {
    n=0
    while [ -e $working ]; do
        has_address || connect >/run/connect.log 2>&1 && has_address || { count lost_addresses; sleep 0.5; continue; }
        transfer $n
        n=$((n + 1))
    done
}

# More small frames at once than the card's ring has room for, to nobody, by the kernel's own generator: while the host does not serve the
# ring it runs full, and the driver stops its queue.
generator=/proc/net/pktgen
# A generator that a busy machine had not let begin works on after it was waited for.
generates() { grep -q 'Running: *[a-z]' $generator/kpktgend_0; }
flood_card() {
    modprobe pktgen || { broken network "there is no pktgen"; return; }
    while [ -e $working ]; do
        sleep 2
        # A card that came back is up before it has an address.
        nic_is_there && ip link set "$nic" up && ! generates || continue
        echo rem_device_all >$generator/kpktgend_0
        # Not while its cable is pulled.
        { echo "add_device $nic" >$generator/kpktgend_0; } 2>/dev/null || continue
        for option in "count 3000" "pkt_size 60" "delay 0" "dst 192.0.2.1" "dst_mac 02:00:00:00:00:fe"; do
            echo "$option" >"$generator/$nic"
        done 2>/dev/null
        echo start >$generator/pgctrl 2>/dev/null && count floods
    done
    while generates; do sleep 0.2; done
    echo rem_device_all >$generator/kpktgend_0
}

# Who waits for what, for whoever has to find out why.
stuck() {
    lsscsi
    cat /proc/partitions /proc/mounts
    for process in /proc/[0-9]*; do
        grep -q '^State:.D' $process/status && cat $process/comm $process/stack
    done
    dmesg | tail -n 60
}

for name in files root_files transfers retries mounts cut_transfers lost_addresses floods; do : >/run/count.$name; done
for what in data root network; do : >/run/broken.$what; done
connect >/run/connect.log 2>&1
mount_data
: >$working
echo "<5>interop: faults begin" >/dev/kmsg
faults_begin

watch_disk & disk_watch=$!
watch_card & card_watch=$!
work_on_data & data=$!
work_on_root & root=$!
work_on_network & network=$!
flood_card & flood=$!
(sleep $((seconds + 100)) && [ ! -e /run/ended ] && stuck) &
# Two seconds more than faults begin, and the last of them ends a little later still.
sleep $((seconds + 2))
rm $working
wait $disk_watch $card_watch $data $root $network $flood
: >/run/ended

detail="$(counted files) files of $slot_mib MiB, $(counted retries) tries again, $(counted mounts) mounts again"
if ! wait_for 60 back_to_data; then
    fail data_survives "the data disk did not come back ($detail)"
    stuck
else
    for slot in $(seq 0 $((slots - 1))); do
        [ -e /run/expected.$slot ] || continue
        try_again read_slot
        [ "$found" = "$(cat /run/expected.$slot)" ] || broken data "at the end /f$slot is $found, not $(cat /run/expected.$slot)"
        say "@hash data /f$slot $found"
    done
    umount /mnt || broken data "the disk cannot be unmounted"
    if [ -s /run/broken.data ] || [ "$(counted files)" = 0 ]; then
        fail data_survives "$detail: $(line </run/broken.data)"
    else
        pass data_survives "$detail"
    fi
fi

if [ -s /run/broken.root ] || [ "$(counted root_files)" = 0 ]; then
    fail root_survives "$(counted root_files) files of 2 MiB: $(line </run/broken.root)"
else
    pass root_survives "$(counted root_files) files of 2 MiB, each read back"
fi

detail="$(counted transfers) times 256 KiB there and back, $(counted cut_transfers) cut off and tried again, $(counted lost_addresses) times no address, $(counted floods) floods"
if wait_for 30 has_address || connect >/run/connect.log 2>&1; then
    if ! { transfer 100000 || transfer 100001; }; then
        fail network_survives "$detail; cut off in the end"
    elif [ -s /run/broken.network ]; then
        fail network_survives "$detail: $(line </run/broken.network)"
    elif ping -c 3 -W 5 "$(gateway)" >/run/ping 2>&1; then
        pass network_survives "$detail"
    else
        fail network_survives "$detail; no answer in the end: $(line </run/ping)"
    fi
else
    fail network_survives "$detail; no address in the end: $(line </run/connect.log)"
fi
rm $source
