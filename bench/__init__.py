"""The measurements: `make bench`, `python -m bench TOPIC`. Cases lie in one module per topic."""
