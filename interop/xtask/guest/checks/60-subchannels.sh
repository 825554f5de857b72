# With several vCPUs: the channels that the kernel opened beside each device's first, and what each carried.
. /lib/interop/lib.sh

cpus=$(nproc)
[ "$cpus" -gt 1 ] || exit 0

# traffic DEVICE: one word a channel, "relid:interrupts from the host:signals to it"
traffic() {
    for channel in "$1"/channels/*; do
        echo "${channel##*/}:$(cat "$channel/interrupts"):$(cat "$channel/events")"
    done
}

storage=$(vmbus_device_of "/sys/block/$(basename "$(disk_labelled interop-root)")/device")
nic_is_there
network=$(vmbus_device_of "/sys/class/net/$nic/device")

# Each request leaves on the channel of the vCPU that makes it.
drop_caches
cpu=0
while [ $cpu -lt "$cpus" ]; do
    taskset -c $cpu dd if=/big of=/dev/null bs=1M skip=$((cpu * 4)) count=4 2>/dev/null
    cpu=$((cpu + 1))
done

# Connections are spread by their ports, so that enough of them reach every channel.
for flow in $(seq 1 $((cpus * 8))); do
    echo "65536 $flow" | timeout 60 nc "$(gateway)" 19 | wc -c
done | sort -u >/run/flows

problems=
[ "$(cat /run/flows)" = 65536 ] || problems="connections brought $(line </run/flows) bytes instead of 65536;"
for device in "$storage" "$network"; do
    count=$(traffic "$device" | wc -l)
    name=$(driver_of "$device")
    [ "$count" -gt 1 ] || problems="$problems $name has $count channel;"
    silent=$(traffic "$device" | awk -F : '$2 + $3 == 0 { print $1 }' | line)
    [ -z "$silent" ] || problems="$problems $name: no traffic on channel $silent;"
done
detail="hv_storvsc $(traffic "$storage" | line), hv_netvsc $(traffic "$network" | line)"
if [ -z "$problems" ]; then
    pass subchannels "$detail"
else
    fail subchannels "$problems ($detail)"
fi
