"""A training as a process of its own, recorded in its run folder: told what to do, watched, stopped."""
