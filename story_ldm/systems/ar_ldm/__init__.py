"""AR-LDM (Pan et al. 2022, arXiv 2211.10950): a latent diffusion model whose cross-attention also reads each earlier frame with its sentence."""
