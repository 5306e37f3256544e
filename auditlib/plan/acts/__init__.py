"""What a step does, one act at a time: a class for each kind, with all that the plan asks of it."""
