"""Reads a command line of QEMU, as a person or a tool has it, into a domain."""
