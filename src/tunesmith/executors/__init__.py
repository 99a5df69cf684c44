"""What runs attempts: local processes, this process, or virtual time. The core does not know which one it has."""
