"""The tidy tables: what a row is, and what its columns mean."""
