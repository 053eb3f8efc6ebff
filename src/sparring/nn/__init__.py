"""Networks: everything that owns parameters."""
