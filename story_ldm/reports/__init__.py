"""Presentation of results: model cards, strips of frames, tables, comparison pages."""
