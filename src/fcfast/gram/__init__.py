"""Reading products of the inputs in one pass: Gram matrices, initial pre-activations, expanded weights."""
