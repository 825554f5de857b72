#!/bin/sh
# What udhcpc calls when it has a lease.

case $1 in
deconfig)
    ip addr flush dev "$interface"
    ;;
bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
    for hop in $router; do
        ip route add default via "$hop" dev "$interface"
    done
    : >/run/resolv.conf
    for server in $dns; do
        echo "nameserver $server" >>/run/resolv.conf
    done
    echo "$ip/$mask router $router dns $dns lease $lease" >/run/lease
    ;;
esac
