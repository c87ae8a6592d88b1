"""What the training scripts share: runs, checkpoints, steps, the GAN loop, watching, caches, sharding, optimizers."""
