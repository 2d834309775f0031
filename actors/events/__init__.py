"""What happened: the journal of events and who listens to it."""
