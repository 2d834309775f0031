"""The domain actor: its verbs, which state allows which, and what it stores."""
