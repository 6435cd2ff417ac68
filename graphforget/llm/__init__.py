"""Language models that forget answers: data, the task, losses, metrics, UnSTAR and its peers, RESTOR."""
