"""What reads sentences or frames: latents, sentences, matched encoders (DAMSM), the frame evaluator."""
