"""How one drives a hypervisor: the contract, the registry, one folder for each kind."""
