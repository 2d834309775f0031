"""Who does it: mailboxes, loops, supervision, cells, router, executors, domains, stores, the node."""
