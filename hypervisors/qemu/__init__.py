"""QEMU: one process for each guest, driven through its monitor (QMP)."""
