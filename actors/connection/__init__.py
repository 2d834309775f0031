"""A hypervisor connection: its supervisor, the driver's environment, consoles."""
