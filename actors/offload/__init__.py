"""Heavy pure functions in worker processes, away from the node's interpreter lock."""
