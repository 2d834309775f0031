"""What things are: errors, states, settings, the XML of domains. Imports nothing of mechane."""
