"""Learning and forgetting in a stream, and online learners on a frozen encoder."""
