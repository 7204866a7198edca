"""The proof that nothing leaves this machine but through the proxy, and what it is made of."""
