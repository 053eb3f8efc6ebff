"""Judging samples: features, scores of them, and their floors."""
