# The kernel's own opinion: no warning of an hv_ driver or of scsi, nothing worse of anyone.
. /lib/interop/lib.sh

dmesg -r | awk '
    {
        match($0, /^<[0-9]+>/)
        level = substr($0, 2, RLENGTH - 2) % 8
        text = substr($0, RLENGTH + 1)
        ours = text ~ /hv_|vmbus|netvsc|storvsc|scsi|sd [0-9]+:|sd[a-z]:|Hyper-V|eth[0-9]/
        grave = text ~ /BUG:|WARNING: CPU|Oops|Call Trace|general protection|lockup|stall|blocked for more than|I\/O error|EXT4-fs error/
        late = ours && text ~ /timed? ?out/
        if ((ours && level <= 4) || grave || late)
            print text
    }' >/run/complaints

if [ -s /run/complaints ]; then
    cat /run/complaints
    fail clean_dmesg "$(wc -l </run/complaints) lines, the first: $(head -n 1 /run/complaints | line)"
else
    pass clean_dmesg "$(dmesg | wc -l) lines"
fi
