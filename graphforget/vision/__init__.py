"""Image classifiers: loaders, reference models, the task, and one paper a file."""
