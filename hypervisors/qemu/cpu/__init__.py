"""Processor models: what emulators define, what an accelerator offers, comparison and choice."""
