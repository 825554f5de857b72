# The integration services, which hv_utils serves: the heartbeat, and the clock.
. /lib/interop/lib.sh

for device in /sys/bus/vmbus/devices/*; do
    [ -e "$device/driver" ] || continue
    case $(cat "$device/class_id") in
    *57164f39-9115-4e78-ab55-382f3bd5422d*) heartbeat=$device ;;
    *9527e630-d0ae-497b-adce-e80ab0175caf*) clock=$device ;;
    esac
done

# The number of the host's signals on the heartbeat's channel, and the vCPU that takes them.
signals() { cat "$heartbeat"/channels/*/interrupts; }
more_than() { [ "$(signals)" -gt "$1" ]; }

if [ -z "$heartbeat" ]; then
    fail heartbeat "no driver has taken a heartbeat: $(cat /sys/bus/vmbus/devices/*/class_id | line)"
elif ! wait_for 10 more_than 3; then
    fail heartbeat "the host has asked $(signals) times only"
else
    # That vCPU hangs for five seconds, so that the host has to miss the answers.
    taskset -c "$(cat "$heartbeat"/channels/*/cpu)" sh -c '. /lib/interop/lib.sh; hang 50'
    before=$(signals)
    if wait_for 10 more_than "$before"; then
        pass heartbeat "$(dmesg | sed -n 's/.*hv_utils: \(Heartbeat IC version [0-9.]*\).*/\1/p' | tail -n 1), asked $(signals) times"
    else
        fail heartbeat "after a vCPU hung the host asks no more"
    fi
fi

# off SECONDS UPTIME: by how much the clock is not what it should be, with so many seconds on it at that uptime
off() { awk -v then="$1" -v start="$2" -v now="$(date +%s)" '{ d = now - then - ($1 - start); print d < 0 ? -d : d }' /proc/uptime; }
right() { off "$then" "$start" | awk '{ exit !($1 <= 2) }'; }

# comes_right SECONDS: the clock is set wrong by so much, the host tells the time, and it is right again
comes_right() {
    date -s "@$(($(date +%s) + $1))" >/dev/null
    ! right || { echo "the clock cannot be set"; return 1; }
    set_the_clock || return 1
    wait_for 10 right || { echo "the clock is off by $(off "$then" "$start") s after it was set wrong by $1 s"; return 1; }
}

then=$(date +%s) start=$(uptime_seconds)
if [ -z "$clock" ]; then
    fail time_sync "no driver has taken the time service: $(cat /sys/bus/vmbus/devices/*/class_id | line)"
elif comes_right -86400 >/run/error 2>&1 && comes_right 86400 >/run/error 2>&1; then
    pass time_sync "$(dmesg | sed -n 's/.*hv_utils: \(TimeSync IC version [0-9.]*\).*/\1/p' | tail -n 1), right again after a day back and a day ahead"
else
    fail time_sync "$(line </run/error)"
fi
