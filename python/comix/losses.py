"""Losses over few (class, weight) pairs instead of dense soft labels."""
