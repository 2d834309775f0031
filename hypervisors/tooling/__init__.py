"""What drivers share that work through command-line tools; see base.py for how a driver uses it."""
