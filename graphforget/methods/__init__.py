"""Methods that run on any task: one paper a file."""
