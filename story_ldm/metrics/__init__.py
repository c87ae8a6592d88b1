"""Numbers that measure stories: rates, distances, matching, intervals and tests."""
