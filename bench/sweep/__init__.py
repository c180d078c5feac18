"""The sweep: times of a step and of a whole training for every form and peer, over samples, features, batches and units."""
