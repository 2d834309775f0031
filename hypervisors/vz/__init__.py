"""Virtuozzo: guests by prlctl and prlsrvctl."""
