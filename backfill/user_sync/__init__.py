"""The user sync as a process: the source's `users` kept in the chat, as they change."""
