"""QEMU's command line from a domain's definition, as pure functions of plain data."""
