"""Workers: they run placed jobs on backends, and deliver what is owed to chats."""
