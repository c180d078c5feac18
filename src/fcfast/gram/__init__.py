"""Reading products of the inputs in one pass: Gram matrices, initial states, expanded weights."""
