"""What each call does: published ones, administration, destroys, waits, gathering."""
