"""What a person reads: model cards, picture strips, tables, comparison pages."""
