"""Encoders of sentences and frames: latents, sentence states, language memory, DAMSM, and the frame evaluator."""
