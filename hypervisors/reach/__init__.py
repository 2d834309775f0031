"""What limited clients' definitions reach on this host: walked to step by step, checked, and held by descriptors."""
