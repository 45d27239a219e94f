"""A package of its own, since a library that the bench compares with installs one of this name."""
