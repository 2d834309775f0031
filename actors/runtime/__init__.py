"""How actors run: loops, loop actors, mailboxes, supervision, guards."""
