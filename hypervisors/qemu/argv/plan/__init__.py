"""What libvirt works out by itself: controllers, addresses, aliases, ports."""
