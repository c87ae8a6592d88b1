"""Code that the training scripts share: runs, checkpoints, steps, the GAN loop, progress, caches, sharding, optimizers."""
