"""Xen guests by xl: its driver, its configuration files, what its tools print."""
