"""The node: what it loads, how it wires its parts, how it starts and stops."""
