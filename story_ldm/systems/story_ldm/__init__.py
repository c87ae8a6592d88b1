"""Story-LDM (Make-A-Story, Rahman et al., CVPR 2023)."""
