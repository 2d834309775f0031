"""What the shipped contract check asks of a driver; run through hypervisors/check.py."""
