"""What a step does, one act at a time: a class for each kind of change, with all that the plan asks of it."""
