"""What the bot says in a chat and how it gets there: texts, buttons, captions, progress, deliveries."""
