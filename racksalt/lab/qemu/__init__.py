"""The lab's heavier tier: real firmware, real disks, real kernels, in QEMU, on a switch that only the lab has."""
