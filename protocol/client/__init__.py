"""Clients of a node: `sync` for threads, `aio` for asyncio; import those modules."""
