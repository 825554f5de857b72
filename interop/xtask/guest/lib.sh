# What the guest's scripts share. Results are lines that begin with @ and are read by the host.

results=/run/results
[ -e /etc/interop/config ] && . /etc/interop/config

say() {
    echo "$*"
    echo "$*" >>"$results"
}

# pass NAME DETAIL..., fail NAME DETAIL...
pass() { name=$1 && shift && say "@check $name ok $*"; }
fail() { name=$1 && shift && say "@check $name failed $*"; }

# figure NAME VALUE
figure() { say "@figure $1 $2"; }

uptime_seconds() { cut -d ' ' -f 1 /proc/uptime; }

# rate BYTES START: MB/s since START seconds of uptime
rate() { awk -v bytes="$1" -v start="$2" '{ t = $1 - start; printf "%.2f", bytes / 1e6 / (t > 0.01 ? t : 0.01) }' /proc/uptime; }

drop_caches() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

hash_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# One line out of many, for a detail.
line() { tr '\n' ' ' | tr -s ' ' | cut -c 1-400; }

disk_labelled() { findfs "LABEL=$1" 2>/dev/null; }

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
    tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# vmbus_device_of SYSFS_PATH: the VMBus device above it
vmbus_device_of() {
    path=$(realpath "$1")
    while [ -n "$path" ] && [ ! -e "$path/class_id" ]; do
        path=${path%/*}
    done
    echo "$path"
}

driver_of() {
    path=$(realpath "$1/driver")
    echo "${path##*/}"
}

# The name of the network card, without a process of its own: those are slow in an emulated machine.
nic=
nic_is_there() {
    for link in /sys/bus/vmbus/drivers/hv_netvsc/*/net/*; do
        nic=${link##*/}
        [ -e "$link" ] && return 0
    done
    nic=
    return 1
}

# connect: brings the network card up and asks for an address
connect() {
    wait_for 10 nic_is_there || { echo "no network card of hv_netvsc's came up"; return 1; }
    ip link set lo up
    ip link set "$nic" up || return 1
    udhcpc -f -n -q -t 5 -T 2 -i "$nic" -s /lib/interop/udhcpc.sh
}

# What the host does when it is told so by a port: the guest that asks has it done at the very moment that a check is about.
ask_for_shutdown() { outb 246 1; }
set_the_clock() { outb 246 3; }
# hang TENTHS: the vCPU that this runs on
hang() { outb 247 "$1"; }

gateway() { ip route | awk '$1 == "default" { print $3 }'; }
