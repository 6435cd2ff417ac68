"""Linear models and last layers: loaders, the task, one Newton step that removes rows, and one paper a file."""
