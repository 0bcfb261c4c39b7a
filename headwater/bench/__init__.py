"""`headwater bench`: what this machine gives, and how much of that headwater takes.

Always holds: every rate stands beside the limit that was measured in the same run, and only servers of
our own or those meant for tests (`HEADWATER_TEST_*`) are touched. Nothing else imports this package.
"""
