"""Rowcast's core: what a run does, as pure modules named after the route, with AWS behind ports."""
