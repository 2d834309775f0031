"""The command line `mechane`: `main.main` runs it."""
