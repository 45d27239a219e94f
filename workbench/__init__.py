"""What people run: the command line, the embedded AWS and the demo."""
