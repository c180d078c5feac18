"""Steps on sparse rows: forms that touch only the features of a batch, their peers, and the memory bound."""
