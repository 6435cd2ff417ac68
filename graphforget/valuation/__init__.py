"""What data are worth: values of rows, edges and users, on any utility and on any task."""
