"""The one door out: events leave the record for JetStream here, in order, and nowhere else."""
