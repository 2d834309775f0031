"""What the node makes on the host for one guest: ports, taps, helper processes, folders."""
