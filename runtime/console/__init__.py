"""What the operators' console shows, and who may look. Its pages: `webhooks.console`."""
