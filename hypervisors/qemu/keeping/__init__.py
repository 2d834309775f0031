"""Saved states and snapshots of guests of QEMU."""
