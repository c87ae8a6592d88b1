"""StoryGAN (Li et al., CVPR 2019) and its reductions."""
