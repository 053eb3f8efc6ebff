"""The studio: runs watched, started and explored in a browser. Its own process never imports torch."""
