"""A cluster: attempts as tasks of Slurm's job arrays."""
