"""Pictures for people: pure functions from arrays and numbers to pixels."""
