"""What each kind of network writes into a model file (`fcfast.modelfile`)."""
