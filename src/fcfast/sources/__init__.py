"""Training inputs that models refer to, in memory or on disk."""
