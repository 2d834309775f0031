"""bhyve: guests of FreeBSD's hypervisor, on this host or over SSH."""
