"""The customer sync as a process: its endpoints, the other service over HTTP, its keys and commands."""
