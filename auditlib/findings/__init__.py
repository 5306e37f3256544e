"""What a finding is: how checks are declared and run, and how findings join into problems."""
