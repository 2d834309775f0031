"""Devices that come to and leave a running guest."""
