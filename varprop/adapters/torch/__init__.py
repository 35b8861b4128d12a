"""PyTorch: trace a model as it runs and measure it, leaving it as found."""
