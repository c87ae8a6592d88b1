"""StoryGAN, the dynamic-block GAN, and the matched text-image encoders that they read sentences with (DAMSM)."""
