"""The scheduler: which job runs where, and which backends take jobs."""
