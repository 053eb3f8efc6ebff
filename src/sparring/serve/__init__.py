"""A trained model as an HTTP service: samples, interpolation, translation, and a description of itself that is true."""
