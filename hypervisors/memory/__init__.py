"""The in-memory hypervisor of test:///default: guests that are nothing but state and a clock."""
