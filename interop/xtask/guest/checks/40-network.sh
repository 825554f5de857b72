# The network card: an address, an echo, and 16 MiB each way through the gateway's TCP services.
. /lib/interop/lib.sh

size=$((16 * 1024 * 1024))
sink=9 source=19 hash=20

if connect >/run/connect.log 2>&1; then
    pass dhcp "$nic by hv_netvsc, $(cat /run/lease)"
else
    fail dhcp "$(line </run/connect.log)"
    exit 0
fi
host=$(gateway)

if ping -c 5 -i 0.2 -W 5 "$host" >/run/ping 2>&1; then
    pass ping "$(sed -n '/packets transmitted/p; /round-trip/p' /run/ping | line)"
    figure ping_ms "$(sed -n 's/^round-trip.*= [0-9.]*\/\([0-9.]*\)\/.*/\1/p' /run/ping)"
else
    fail ping "$(line </run/ping)"
fi

head -c $size /big >/run/up
expected="$size $(hash_of /run/up)"
start=$(uptime_seconds)
answer=$(timeout 200 nc "$host" $sink </run/up 2>/run/error)
speed=$(rate $size "$start")
if [ "$answer" = "$expected" ]; then
    figure tcp_up_mb_s "$speed"
    pass tcp_up "$answer"
else
    fail tcp_up "sent $expected, the gateway had ${answer:-no answer} $(line </run/error)"
fi
rm /run/up

seed=42
expected=$(echo "$size $seed" | timeout 200 nc "$host" $hash)
start=$(uptime_seconds)
echo "$size $seed" | timeout 200 nc "$host" $source >/run/down 2>/run/error
speed=$(rate $size "$start")
answer="$(wc -c </run/down) $(hash_of /run/down)"
if [ "$answer" = "$expected" ]; then
    figure tcp_down_mb_s "$speed"
    pass tcp_down "$answer"
else
    fail tcp_down "the gateway sent ${expected:-no answer}, $answer arrived $(line </run/error)"
fi
rm /run/down
