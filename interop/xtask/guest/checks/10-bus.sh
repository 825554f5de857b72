# The bus: the version that kernel and host agreed on.
. /lib/interop/lib.sh

version=$(dmesg | sed -n 's/.*Vmbus version:\([0-9.]*\).*/\1/p' | tail -n 1)
if [ -n "$version" ]; then
    say "@version $version"
    pass vmbus_version "$version"
else
    fail vmbus_version "the kernel names no version: $(dmesg | grep -i vmbus | line)"
fi
