"""From a decoded message to whoever does it: calls, priority mailboxes, executors, the router."""
