# What the kernel said since the faults began: each warning and worse, and whatever is grave, for the host to judge. Numbers are N, so
# that the same line is told once, with how often it came.
. /lib/interop/lib.sh

dmesg -r | awk '
    /interop: faults begin/ { begun = 1; next }
    begun {
        match($0, /^<[0-9]+>/)
        level = substr($0, 2, RLENGTH - 2) % 8
        text = substr($0, RLENGTH + 1)
        sub(/^\[ *[0-9.]+\] */, "", text)
        grave = text ~ /BUG|WARNING|Oops|Call Trace|general protection|lockup|stall|blocked for more than|UBSAN|KASAN|refcount_t|[Pp]anic/
        if (level > 4 && !grave)
            next
        gsub(/[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+/, "GUID", text)
        gsub(/0x[0-9a-f]+/, "N", text)
        gsub(/[0-9]+/, "N", text)
        gsub(/sd[a-z]+/, "sdX", text)
        count[text]++
    }
    END { for (text in count) print "@kernel " count[text] " " text }
' >/run/kernel
while read -r said; do say "$said"; done </run/kernel
pass kernel_log "$(wc -l </run/kernel) kinds of warnings"
