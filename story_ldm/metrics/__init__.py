"""Metrics of generated stories: rates, distances, matching, confidence intervals and significance tests."""
