"""Graph neural networks: loaders, reference models, tasks, and one paper a file."""
