"""What scripts make of docs/: reference pages, pictures of the state machine and of terminals, a look at the site."""
