"""How soon a worker begins a job that was placed, by broker."""
