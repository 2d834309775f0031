"""Where the node keeps what must outlive it: definitions, ownership, what runs."""
