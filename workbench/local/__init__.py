"""The embedded AWS: one emulator per project folder, with the project's own template deployed into it."""
