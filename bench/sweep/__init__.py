"""The sweep: what a step and a whole training take for every form and every peer, over samples, features, batches and units."""
