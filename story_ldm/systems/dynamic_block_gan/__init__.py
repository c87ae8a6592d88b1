"""The dynamic-block GAN (Li and Lukasiewicz, Findings of EMNLP 2022) and its ablations."""
