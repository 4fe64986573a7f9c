"""What the loop in training.py runs on: gradients, optimisers, kernels, devices, processes."""
