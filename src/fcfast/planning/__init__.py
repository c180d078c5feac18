"""Which form the front layer should take on this machine: counts of operations and bytes, and a few measured figures."""
