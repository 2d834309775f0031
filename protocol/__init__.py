"""How one talks to a node: catalogue, wire, clients, command line."""
