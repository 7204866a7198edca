"""A whole deployment under blows: every process killed, the database restarted, and then the books are balanced."""
