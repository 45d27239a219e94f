"""Adapters to AWS of all ports but sources and destinations, one file each."""
