"""What every domain of the API stands on: database, clock, errors, embedded MongoDB."""
